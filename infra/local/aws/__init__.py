"""The AWS services that moto stands in for, in a process of its own, and a client for them."""
