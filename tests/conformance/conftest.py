"""Fixtures: the real broker and moto of the integration tests, and the functions of the local stack's tests."""

from tests.integration.conftest import aws, broker, guard, loop_in_background, rabbit, topology
from tests.integration.local.conftest import harness

__all__ = ["aws", "broker", "guard", "harness", "loop_in_background", "rabbit", "topology"]
