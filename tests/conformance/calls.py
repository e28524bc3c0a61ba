"""Calls simulated services from tests, without faults and with the shortest latency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.decisions import Decisions
from tests.simulation.kernel import Kernel

SECONDS = 60.0
"""Simulated seconds within which a call ends."""
TICK = 0.05
"""Simulated seconds between two looks at what a test waits for."""


class Caller:
    """A kernel, and a process of it for each call."""

    def __init__(self, decisions: dict[str, int] | None = None) -> None:
        self.kernel = Kernel(Decisions(0, decisions or {}))

    def call(self, run: Callable[[], Any]) -> Any:
        """Runs a call in a process, and returns its result or raises its error."""
        ended: list[tuple[BaseException | None, Any]] = []
        self.kernel.spawn("test", run, SECONDS, lambda error, result: ended.append((error, result)))
        self.wait_for(lambda: ended)
        [(error, result)] = ended
        if error is not None:
            raise error
        return result

    def wait_for(self, happened: Callable[[], Any], seconds: float = SECONDS) -> None:
        """Lets simulated time pass until something has happened."""
        ends = self.kernel.now + seconds
        while not happened():
            assert self.kernel.now < ends, f"it has not happened within {seconds} simulated seconds"
            self.kernel.run(self.kernel.now + TICK)


class Client:
    """A client whose methods are those of a simulated service."""

    def __init__(self, caller: Caller, service: Any) -> None:
        self._caller = caller
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda **arguments: self._caller.call(lambda: getattr(self._service, name)(**arguments))
