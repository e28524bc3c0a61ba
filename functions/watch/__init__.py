"""Measures the broker's queues every minute, because Amazon MQ tells nothing of single queues of RabbitMQ 4."""
