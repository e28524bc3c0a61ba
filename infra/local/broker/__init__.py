"""Amazon MQ's part: a RabbitMQ node of this stack's own."""
