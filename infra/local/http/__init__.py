"""API Gateway's part: HTTP requests as proxy events, and proxy answers as responses."""
