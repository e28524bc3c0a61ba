"""Simulates EventBridge: an accepted event comes to each target at least once, and can come twice or late.

Source: EventBridge user guide, "Event delivery levels" and "Retrying event delivery".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from tests.simulation.books import Books
from tests.simulation.kernel import Kernel
from tests.simulation.s3 import refusal

FAULTS = ("dies", "dies after", "unavailable", "left out", "answer lost")
DELIVERY = ("once", "twice", "late", "twice, the second late")
DELIVERY_WEIGHTS = (0.06, 0.04, 0.04)
LATEST_SECONDS = 900

Target = Callable[[str, dict[str, Any]], None]
"""Takes the detail of an event as JSON, and as a value that must not be changed."""


class SimulatedEvents:
    """One event bus with a rule for each target, and the client method that the product calls."""

    def __init__(self, kernel: Kernel, books: Books, targets: Mapping[str, Target]) -> None:
        """Creates the bus with its targets."""
        self._kernel = kernel
        self._books = books
        self._targets = targets
        self._accepted = 0

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        details = [(one["Detail"], from_json(one["Detail"])) for one in Entries]
        _, fault = self._kernel.enter("PutEvents", FAULTS, [detail["event_key"] for _, detail in details])
        if fault == "unavailable":
            raise refusal("PutEvents", "InternalException", 500)
        if fault == "left out":
            return {"Entries": [{"ErrorCode": "InternalFailure"} for _ in Entries]}
        for text, detail in details:
            self._books.event_put(self._kernel.now, detail)
            self._deliver(text, detail)
        if fault == "answer lost":
            raise refusal("PutEvents", "InternalException", 500)
        self._kernel.leave(fault)
        return {"Entries": [{} for _ in Entries]}

    def _deliver(self, text: str, detail: dict[str, Any]) -> None:
        self._accepted += 1
        decisions = self._kernel.decisions
        for name, target in self._targets.items():
            place = f"event {self._accepted} to {name}"
            how = DELIVERY[decisions.choose(place, DELIVERY_WEIGHTS)]
            first = decisions.latency(place)
            late = decisions.between(f"{place}/late", LATEST_SECONDS) if "late" in how else 0
            self._kernel.after(late if how == "late" else first, lambda target=target: target(text, detail))
            if how.startswith("twice"):
                self._kernel.after(first + late, lambda target=target: target(text, detail))
