"""CloudFormation custom resource: the broker's exchanges, queues, policies and users."""
