"""Says which request, publish or page a fault hits, and keeps a list of the faults that hit one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

ONCE, BURST = "once", "burst"
BURST_SECONDS = 3.0
FREEZE_SECONDS = 7.0
"""How long a process is stopped, and how long a hanging server does not answer: longer than any client waits (5 s)."""

MINUTES = "frozen for minutes"
MINUTES_SECONDS = 135.0
"""Longer than two heartbeats of the broker (60 s each), and than the timeout of every function but `topology`."""


@dataclass
class Armed:
    """A fault at a stage that waits for its first hit."""

    stage: str
    fault: str
    span: str = ONCE
    hits: int = 0
    hit: threading.Event = field(default_factory=threading.Event)
    first: float = 0.0
    over: bool = False


@dataclass(frozen=True)
class Injected:
    """A fault that hit something; `at` is in seconds since the epoch."""

    at: float
    stage: str
    """The stage of the case."""
    fault: str
    what: str
    place: str = ""
    """The stage of the request; not that of the case if the fault hits a whole service."""
    job: str = ""
    """The id of the job that the request is about, if it names one."""


@dataclass(frozen=True)
class Hurt:
    """A process of a function that was killed or stopped; `at` is in seconds since the epoch."""

    at: float
    pid: int


class Armory:
    """Holds the armed faults; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self.injected: list[Injected] = []
        self.hurt: list[Hurt] = []

    def arm(self, stage: str, fault: str, span: str = ONCE) -> Armed:
        """Lets a fault hit the next thing at a stage, or with `BURST` all things from the first on, for a while."""
        armed = Armed(stage, fault, span)
        with self._lock:
            self._armed.append(armed)
        return armed

    def disarm(self, armed: Armed) -> None:
        with self._lock:
            armed.over = True
            if armed in self._armed:
                self._armed.remove(armed)

    def draw(self, stages: tuple[str, ...], what: str, job: str = "") -> str | None:
        """Returns the fault that hits a request or publish, if there is one.

        Args:
            stages: Its stage, and then the names of the service to which it goes.
            what: Describes it.
            job: The id of the job that it is about, if it names one.
        """
        with self._lock:
            for armed in self._armed:
                if armed.stage not in stages:
                    continue
                now = time.time()
                armed.first = armed.first or now
                armed.hits += 1
                armed.hit.set()
                if armed.span == ONCE or now > armed.first + BURST_SECONDS:
                    armed.over = True
                    self._armed.remove(armed)
                self.injected.append(Injected(now, armed.stage, armed.fault, what, stages[0], job))
                return armed.fault
        return None

    def note(self, stage: str, fault: str, what: str = "") -> None:
        """Adds a fault that was injected without being armed."""
        with self._lock:
            self.injected.append(Injected(time.time(), stage, fault, what))

    def note_hurt(self, pid: int) -> None:
        """Notes that a process of a function is killed or stopped now."""
        with self._lock:
            self.hurt.append(Hurt(time.time(), pid))
