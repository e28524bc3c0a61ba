"""A value that is asked for when it is needed first, kept, and asked for again when it may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from urlshot.errors import UrlshotError

Value = TypeVar("Value")

KEPT_SECONDS = 300.0
"""How long a value is taken for the right one: a rotated secret is found that late at most."""


class Kept(Generic[Value]):
    """What `read` gives, at most `max_age` seconds old; safe to share between threads, which may read it twice."""

    def __init__(self, read: Callable[[], Value], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._value: Value | None = None
        self._asked = 0.0

    def get(self, max_age: float = KEPT_SECONDS) -> Value:
        """The value; an older one where it cannot be had now, because it is probably still the same.

        Raises:
            Transient, Broken: it cannot be had, and never could.
        """
        now = self._clock()
        if self._value is None or now - self._asked >= max_age:
            self._asked = now
            try:
                self._value = self._read()
            except UrlshotError:
                if self._value is None:
                    raise
        return self._value
