"""What two or more of urlshot's functions need.

The core knows no AWS, no RabbitMQ and no browser: `errors`, `identity`, `options`, `private`, `egress`, `dial`,
`records`, `messages`, `jobs`, `events`, `subscriptions`, `recipients`, `kept`, `links`, `webhooks`. An adapter knows
one vendor: `store` and `subscribers` (S3), `broker` (RabbitMQ), `bus` (EventBridge), `claims` (S3, for powertools'
idempotency), `secrets` (Secrets Manager), over clients of `aws`. `accept` is the one way in for a job, whoever asks.
"""
