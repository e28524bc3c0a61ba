"""Stands in for API Gateway: converts HTTP requests to proxy events, and proxy answers to HTTP responses."""
