"""Keeps a value that is slow to read, such as a secret, and reads it again when it may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from urlshot.core.errors import UrlshotError

Value = TypeVar("Value")

CACHE_SECONDS = 300.0
"""How long a value is used before it is read again, and so how late a rotated secret takes effect at most."""


class Cached(Generic[Value]):
    """Caches what `read` returns; thread-safe, although two threads may both read."""

    def __init__(self, read: Callable[[], Value], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._value: Value | None = None
        self._read_at = 0.0

    def get(self, max_age: float = CACHE_SECONDS) -> Value:
        """Returns the value, read again if it is `max_age` seconds old.

        If the read fails, the old value is returned, because it is probably still right.

        Raises:
            Transient, Broken: The read failed and there is no old value.
        """
        now = self._clock()
        if self._value is None or now - self._read_at >= max_age:
            self._read_at = now
            try:
                self._value = self._read()
            except UrlshotError:
                if self._value is None:
                    raise
        return self._value
