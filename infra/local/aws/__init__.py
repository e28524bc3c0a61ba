"""Runs moto, which stands in for AWS services, in a process of its own, and has a client for it."""
