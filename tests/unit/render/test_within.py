"""Tests the limit on work of the browser, which Lambda may freeze together with this process."""

from __future__ import annotations

import asyncio
import time

import pytest

from functions.render.browser.browser import _within
from playwright_aws_lambda import Gone


async def frozen(seconds: float) -> str:
    """Waits for an answer that needs two rounds of the loop; the process stands still meanwhile, as if frozen."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    loop.call_later(0.01, first.set_result, None)
    loop.call_soon(time.sleep, seconds)
    await first
    loop.call_later(0.01, second.set_result, None)
    await second
    return "answer"


def test_work_survives_a_freeze_that_is_longer_than_its_limit() -> None:
    async def limited() -> str:
        async with asyncio.timeout(0.2):
            return await frozen(0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(limited())
    assert asyncio.run(_within(1.0, frozen(2.0))) == "answer"


def test_work_that_takes_too_long_is_cancelled() -> None:
    cancelled = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def limited() -> None:
        with pytest.raises(TimeoutError):
            await _within(0.05, endless())
        await asyncio.sleep(0)

    asyncio.run(limited())
    assert cancelled == [True]


def test_error_of_the_work_is_raised() -> None:
    async def fails() -> None:
        raise Gone("the page has closed")

    with pytest.raises(Gone, match="has closed"):
        asyncio.run(_within(1.0, fails()))
