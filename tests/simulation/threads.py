"""Replaces the threads and locks of the product with those of simulated processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.simulation.decisions import STEP
from tests.simulation.kernel import Kernel, Killed


class Threads:
    """Replaces ThreadPoolExecutor: each item runs in a thread of the calling process."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel = kernel

    def map(self, call: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        kernel, items = self._kernel(), list(items)
        if len(items) < 2:
            return [call(item) for item in items]
        caller = kernel.current()
        results: list[Any] = [None] * len(items)
        left = len(items)

        def body(index: int) -> None:
            nonlocal left
            try:
                results[index] = call(items[index])
            except Killed:
                kernel.kill(caller.process, "killed")
                return
            left -= 1
            if left == 0:
                kernel.wake(caller)

        for index in range(len(items)):
            kernel.start(caller.process, lambda index=index: body(index))
        kernel.wait()
        return results


class Lock:
    """Replaces threading.Lock between the threads of one process."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel = kernel
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        kernel = self._kernel()
        until = kernel.now + timeout if timeout >= 0 else float("inf")
        while self._held:
            if not blocking or kernel.now >= until:
                return False
            kernel.sleep(min(0.25, max(until - kernel.now, STEP)))
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
