"""The slots of one batch: its messages take them one after another, and wait together while none is free."""

from __future__ import annotations

import random
import threading
import time

from urlshot.jobs import Slot
from urlshot.messages import Priority
from urlshot.slots import Free, Slots

WAIT_SECONDS = 20.0
"""How long a batch waits for slots; then the rest of its messages go back to wait on the broker."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.04, 1.4, 0.4
"""Seconds between two looks at the slots while none is free: S3 has nothing to wait on."""


def reserved(slots: int) -> int:
    """Returns how many of the first slots bulk jobs may not take: a quarter, at least one where there are two."""
    return max(slots // 4, min(1, slots - 1))


class SlotPool:
    """Takes slots for one batch; safe to share between threads."""

    def __init__(self, slots: Slots, until: float, free: list[Free] | None = None) -> None:
        """`until` is the time of `time.monotonic()` at which the batch stops waiting; `free` is what `left` of the
        batch before returned."""
        self._slots = slots
        self._until = until
        self._turn = threading.Lock()  # of the one thread that looks for free slots
        self._state = threading.Lock()
        self._trying: set[int] = set()
        # Most batches are small and find slots free, so the first try costs no look at all of them.
        self._all_free = free is None
        self._free = [Free(number) for number in range(slots.count)] if free is None else list(free)
        self._guessed = True

    def take(self, priority: Priority) -> Slot | None:
        """Takes a slot that jobs of this priority may have; returns None if none came free in time.

        Raises:
            Transient: `storage_unavailable`.
        """
        first = reserved(self._slots.count) if priority == "bulk" else 0
        while (free := self._next(first)) is not None:
            try:
                slot = self._slots.take(free)
            finally:
                with self._state:
                    self._trying.discard(free.number)
            if slot is not None:
                return slot
            with self._state:
                if self._guessed:  # the other guesses may be wrong too
                    self._free, self._guessed, self._all_free = [], False, False
        return None

    def left(self) -> list[Free] | None:
        """Returns the slots that the next batch tries first, once this one is done; None if all seemed to be free.

        A busy system would otherwise try slots that are in use, once for each message, before it looks.
        """
        with self._state:
            return None if self._all_free else self._free

    def _next(self, first: int) -> Free | None:
        """Returns a slot to try. While none is free, one thread looks, and the others wait for their turn."""
        if (free := self._pop(first)) is not None:
            return free
        if not self._turn.acquire(timeout=max(0.0, self._until - time.monotonic())):
            return None
        try:
            pause = 0.0
            while (free := self._pop(first)) is None:
                left = self._until - time.monotonic()
                if pause > 0:
                    if left <= 0:
                        return None
                    time.sleep(min(pause * random.uniform(0.7, 1), left))  # noqa: S311 - spreads the load
                pause = min(pause * GROWTH, LONGEST_PAUSE) if pause > 0 else FIRST_PAUSE
                found = self._slots.list_free()
                with self._state:
                    self._free = [free for free in found if free.number not in self._trying]
                    self._guessed, self._all_free = False, len(found) == self._slots.count
            return free
        finally:
            self._turn.release()

    def _pop(self, first: int) -> Free | None:
        with self._state:
            for free in self._free:
                if free.number >= first:
                    self._free.remove(free)
                    self._trying.add(free.number)
                    return free
        return None
