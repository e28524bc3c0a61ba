"""The time of one job: every wait takes its limit from here, so that their sum stays below the function's limit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from urlshot.core.errors import failure

ANSWER_SECONDS = 4.0
"""Kept back from the function's remaining time, to close the page or kill the browser, and to answer."""

UPLOAD_SECONDS = 8.0
"""Kept back from the page's time, so that the PDF can still be uploaded; at most a quarter of the job's time."""

PRINT_SECONDS = 10.0
"""Kept back from the time of settling, so that a page that never comes to rest can still be printed; the same limit."""


class Budget:
    """Measures the seconds of a job and of its phases on the monotonic clock."""

    def __init__(self, limit: float, remaining: float | None = None, *, upload: bool = True) -> None:
        """Starts the clock.

        Args:
            limit: Seconds that the job may take.
            remaining: Seconds until Lambda ends the function; None if there is no such limit.
            upload: Whether the PDF will be uploaded.
        """
        self.total = limit if remaining is None else min(limit, remaining - ANSWER_SECONDS)
        self._began = self._explained = time.monotonic()
        self._upload = min(UPLOAD_SECONDS, self.total / 4) if upload else 0.0
        self.phases: dict[str, float] = {}

    def left(self) -> float:
        """Returns the seconds until the job must answer.

        Raises:
            Transient: `timeout`: No time is left.
        """
        return self._positive(self._began + self.total - time.monotonic())

    def for_page(self) -> float:
        """Returns the seconds that the page may still take; raises like `left()`."""
        return self._positive(self._began + self.total - self._upload - time.monotonic())

    def for_settling(self) -> float:
        """Returns the seconds that the page may still take to come to rest; 0 if it must be printed now."""
        kept = self._upload + min(PRINT_SECONDS, self.total / 4)
        return max(0.0, self._began + self.total - kept - time.monotonic())

    def elapsed(self) -> float:
        """Returns the seconds since the job began."""
        return time.monotonic() - self._began

    def _positive(self, seconds: float) -> float:
        if seconds <= 0:
            raise failure("timeout", f"The page was not ready within {max(self.total, 0):.0f} s.")
        return seconds

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time until the end of the enclosed block to the phase, in milliseconds.

        The time begins at the end of the phase before, or with the job, so that all of it belongs to a phase.
        """
        try:
            yield
        finally:
            now = time.monotonic()
            self.phases[name] = round(self.phases.get(name, 0.0) + (now - self._explained) * 1000, 1)
            self._explained = now
