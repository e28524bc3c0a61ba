"""Modules that two or more of urlshot's functions need.

    lifecycle   the steps of a job that several functions take: accept, park, announce
    adapters    S3, RabbitMQ, EventBridge, Secrets Manager, logs: a module for each service
    network     connections to strangers' servers, under the egress rules
    core        values and rules: identity, options, records, messages, events, errors, egress

A folder imports those below it only, and `adapters` and `network` do not import each other.
"""
