"""A proxy for the tests of its connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.render.net import Net


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    made = Net()
    yield made
    await made.close()
