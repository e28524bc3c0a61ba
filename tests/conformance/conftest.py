"""Fixtures: the broker and moto of the integration tests."""

from tests.integration.conftest import aws, broker, guard, loop_in_background, rabbit, topology

__all__ = ["aws", "broker", "guard", "loop_in_background", "rabbit", "topology"]
