"""Describes a history: its operations, the deployment of urlshot, and how often there are faults."""

from __future__ import annotations

from dataclasses import dataclass

from functions.topology.description import DELIVERY_LIMIT
from urlshot.core.messages import Priority

URLS = tuple(f"https://example.com/{name}" for name in "abcd")


@dataclass(frozen=True)
class Operation:
    """An operation: a request, a delete, a bare message, a pause of the mappings, or a jump of the clock."""

    at: float
    what: str
    url: str = URLS[0]
    max_age: int = 3600
    priority: Priority = "normal"
    seconds: float = 0
    tell: tuple[str, ...] = ()
    """The addresses that the request names: `callback_url` and `notify`."""

    def __str__(self) -> str:
        match self.what:
            case "request" | "bare":
                names = " ".join(self.tell)
                return f"{self.at:8.2f}  {self.what} {self.url} max_age={self.max_age} {self.priority} {names}".rstrip()
            case "delete":
                return f"{self.at:8.2f}  delete {self.url}"
            case _:
                return f"{self.at:8.2f}  {self.what} for {self.seconds:.0f} s"


@dataclass(frozen=True)
class Setting:
    """The deployment of urlshot in this history, and its faults."""

    renders: int = 2
    batch: int = 4
    max_attempts: int = 2
    max_job_age: int = 86_400
    same_bytes: bool = False
    twice: float = 0.06
    """The probability that Lambda runs an event twice."""
    operator: bool = False
    """Whether the operator gets a mail about each event."""
    faults: float = 0.0
    """The probability of a fault at each call."""
    least: int = 0
    """The number of faults that the history has if it has enough calls."""
    quiet: int = 0
    """The number of calls after which faults become more frequent until there are enough of them."""
    freezes: float = 0.0
    """The probability that a call takes as long as if the function were frozen: 1 to 35 s."""
    weak: str = ""
    """The function whose calls often fail."""
    slow: str = ""
    """The function whose calls often take long."""
    deliveries: int = DELIVERY_LIMIT
    """How often a batch with a message may fail, before the broker gives the message up."""
    heal_at: float = 300.0
    """The time at which all faults end, in seconds."""
