"""Waiting for the end of a job, of which nothing tells but its record in S3."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from urlshot.errors import Transient
from urlshot.jobs import Slot
from urlshot.logs import logger
from urlshot.records import Record
from urlshot.slots import Free, Slots
from urlshot.store import Store

WAIT_SECONDS = 25.0
"""The longest that a request waits; API Gateway stops listening after 29 s."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.1, 1.4, 2.5
"""Seconds between two looks; each pause is longer than the one before, so that a wait of 25 s costs about 20 reads. The
end of a job that takes t seconds is seen about 0.4 t later, and 2.5 s later at most."""

SLOT_LEASE = timedelta(seconds=35)
"""A slot to wait is free again after this, which is longer than the function may run."""

_TRIES = 3  # slots that looked free and were taken by other requests first

log = logger()


class Waiting:
    """Follows jobs. Of all requests to all instances of this function, as many wait at a time as there are slots.

    A request that waits occupies an instance; without a bound there could be none left for requests that do not wait.
    A wait costs a PUT and a DELETE, and a LIST and a PUT more when many wait. A request whose job has ended takes no
    slot.
    """

    def __init__(self, store: Store, slots: Slots) -> None:
        self._store = store
        self._slots = slots

    def follow(self, job_id: str, seconds: float, *, or_refuse: bool = False) -> tuple[Record, str] | None:
        """Returns the job's record and ETag once it has ended, or as it is after `seconds`; None if there is none.

        If no slot is free, returns the record as it is at once, or with `or_refuse` raises an error.

        Raises:
            Transient: `too_many_waiting`.
        """
        until = time.monotonic() + seconds
        found = self._store.read(job_id)
        if _ended(found) or seconds <= 0:
            return found
        slot = self._take_slot()
        if slot is None:
            log.warning("wait: no slot is free", extra={"job_id": job_id})
            if or_refuse:
                raise Transient("too_many_waiting")
            return found
        try:
            pause = FIRST_PAUSE
            while not _ended(found) and (left := until - time.monotonic()) > 0:
                time.sleep(min(pause * random.uniform(0.7, 1), left))  # noqa: S311 - spreads the load, guards nothing
                pause = min(pause * GROWTH, LONGEST_PAUSE)
                found = self._store.read(job_id)
            return found
        finally:
            self._slots.give_back(slot)

    def _take_slot(self) -> Slot | None:
        """Takes a slot, at random so that instances seldom meet; lists the free ones only if that one is not free."""
        count = self._slots.count
        if count == 0:
            return None
        if slot := self._slots.take(Free(random.randrange(count))):  # noqa: S311 - spreads the load, guards nothing
            return slot
        free = self._slots.list_free()
        for one in random.sample(free, min(_TRIES, len(free))):
            if slot := self._slots.take(one):
                return slot
        return None


def _ended(found: tuple[Record, str] | None) -> bool:
    return found is None or found[0].ended
