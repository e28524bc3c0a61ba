"""Waits for the first or for all of several tasks, and cancels tasks."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*futures: "asyncio.Future[Any]", seconds: float | None) -> None:
    """Waits until one of the futures is done, or until the time is over. It cancels none of them.

    Args:
        futures: The futures. The caller asks them which is done.
        seconds: The longest wait; None for no limit.
    """
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs coroutines concurrently and returns all results. If one fails, cancels the others and raises its error."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def cancelled(*tasks: "asyncio.Task[None]") -> None:
    """Cancels tasks, and waits until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
