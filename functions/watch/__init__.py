"""Measures the queues and the slots every minute, because Amazon MQ has no metrics per queue for RabbitMQ 4."""
