"""Waiting for the first of several things, with a limit."""

import asyncio
from typing import Any


async def first_of(*futures: "asyncio.Future[Any]", seconds: float | None) -> None:
    """Returns when one of them is done, or after so many seconds; ask the futures which it was. Cancels nothing."""
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
