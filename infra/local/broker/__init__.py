"""Stands in for Amazon MQ, by a RabbitMQ node of this stack's own."""
