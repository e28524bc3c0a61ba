"""Declares the broker's exchange, queues, policies and users, as a CloudFormation custom resource."""
