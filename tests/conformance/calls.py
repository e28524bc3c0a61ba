"""Calls simulated services from tests, without faults and with the shortest latency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.decisions import Decisions
from tests.simulation.kernel import Kernel

SECONDS = 1.0
"""Simulated seconds within which a call ends."""


class Caller:
    """A kernel, and a process of it for each call."""

    def __init__(self, decisions: dict[str, int] | None = None) -> None:
        self.kernel = Kernel(Decisions(0, decisions or {}))

    def call(self, run: Callable[[], Any]) -> Any:
        """Runs a call in a process, and returns its result or raises its error."""
        ended: list[tuple[BaseException | None, Any]] = []
        self.kernel.spawn("test", run, SECONDS, lambda error, result: ended.append((error, result)))
        self.pass_time(SECONDS)
        [(error, result)] = ended
        if error is not None:
            raise error
        return result

    def pass_time(self, seconds: float) -> None:
        self.kernel.run(self.kernel.now + seconds)


class Client:
    """A client whose methods are those of a simulated service."""

    def __init__(self, caller: Caller, service: Any) -> None:
        self._caller = caller
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda **arguments: self._caller.call(lambda: getattr(self._service, name)(**arguments))
