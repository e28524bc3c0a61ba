"""Measures the queues and the slots every minute: Amazon MQ has no metrics of single queues of RabbitMQ 4."""
