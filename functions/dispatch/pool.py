"""Takes slots for the messages of one batch, which wait together while no slot is free."""

from __future__ import annotations

import random
import threading
import time

from urlshot.adapters.slots import Free, Slots
from urlshot.core.messages import Priority
from urlshot.core.render_contract import Slot

WAIT_SECONDS = 20.0
"""How long a batch waits for slots. After that, messages without a slot are postponed."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.04, 1.4, 0.4
"""Seconds between two listings of the slots while none is free. S3 offers no event to wait for."""


def reserved(slots: int) -> int:
    """Returns how many of the first slots bulk jobs may not take: a quarter of `slots`, and at least one of two."""
    return max(slots // 4, min(1, slots - 1))


class SlotPool:
    """Takes slots for one batch; is safe to share between threads."""

    def __init__(self, slots: Slots, until: float, free: list[Free] | None = None) -> None:
        """Starts with the slots that are probably free.

        Args:
            slots: all slots.
            until: when the batch stops waiting, on the clock of `time.monotonic()`.
            free: what `left` returned after the batch before.
        """
        self._slots = slots
        self._until = until
        self._listing = threading.Lock()  # one thread at a time lists the slots
        self._state = threading.Lock()
        self._trying: set[int] = set()
        # Most batches are small and find free slots, so the first try does not list them.
        self._all_free = free is None
        self._free = [Free(number) for number in range(slots.count)] if free is None else list(free)
        self._guessed = True

    def take(self, priority: Priority) -> Slot | None:
        """Takes a slot that jobs of this priority may have; returns None if none became free in time.

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
                if self._guessed:  # the other guesses may be wrong too, so list the slots next
                    self._free, self._guessed, self._all_free = [], False, False
        return None

    def left(self) -> list[Free] | None:
        """Returns the slots that the next batch should try first; None if all seemed to be free.

        Without this, the messages of each batch in a busy system would first try slots that are in use.
        """
        with self._state:
            return None if self._all_free else self._free

    def _next(self, first: int) -> Free | None:
        """Returns a slot to try, from number `first` on; None when the time is over.

        While none is free, one thread lists the slots and the others wait for it.
        """
        if (free := self._pop(first)) is not None:
            return free
        if not self._listing.acquire(timeout=max(0.0, self._until - time.monotonic())):
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
            self._listing.release()

    def _pop(self, first: int) -> Free | None:
        with self._state:
            for free in self._free:
                if free.number >= first:
                    self._free.remove(free)
                    self._trying.add(free.number)
                    return free
        return None
