"""Contains the code that two or more of urlshot's functions share.

The core imports nothing of AWS, RabbitMQ or a browser: `errors`, `identity`, `options`, `private`, `egress`, `dial`,
`records`, `messages`, `jobs`, `events`, `subscriptions`, `recipients`, `kept`, `links`, `webhooks`. Each adapter knows
one vendor: `store`, `s3`, `slots` and `subscribers` (S3), `broker` (RabbitMQ), `bus` (EventBridge), `claims` (S3, for
powertools' idempotency), `secrets` (Secrets Manager). `aws` makes their clients. `accept` accepts every request for a
job, from HTTP and from AMQP.
"""
