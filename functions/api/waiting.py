"""Waits for the end of a job by reading its record in S3 repeatedly; nothing else reports the end to `api`."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from urlshot.adapters.logs import logger
from urlshot.adapters.slots import Free, Slots
from urlshot.adapters.store import Store
from urlshot.core.errors import Transient
from urlshot.core.records import Record
from urlshot.core.render_contract import Slot

WAIT_SECONDS = 25.0
"""The longest time that a request waits; API Gateway ends a request after 29 s."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.1, 1.4, 2.5
"""Seconds between two reads. The pauses grow, so that a wait of 25 s costs about 20 reads. If a job takes t seconds,
its end is seen at most about 0.5 t later, and never more than 2.5 s later."""

SLOT_LEASE = timedelta(seconds=35)
"""The lease of a slot under `wait/`; longer than the timeout of the function."""

_TRIES = 3  # free slots that a request tries after it listed them

log = logger()


class Waiting:
    """Follows jobs, and limits how many requests to all instances of this function wait at the same time.

    A request that waits occupies an instance. Without a limit, requests that do not wait could find no instance free.
    A wait costs a PUT and a DELETE. If many requests wait, it costs a LIST and up to three PUTs more. A request whose
    job has ended takes no slot.
    """

    def __init__(self, store: Store, slots: Slots) -> None:
        self._store = store
        self._slots = slots

    def follow(self, job_id: str, seconds: float, *, or_refuse: bool = False) -> tuple[Record, str] | None:
        """Waits until the job has ended, but at most `seconds`.

        Args:
            job_id: the id of the job.
            seconds: the longest wait.
            or_refuse: raises an error if no slot is free, in place of returning immediately.

        Returns:
            The job's record and its ETag; None if there is no record.

        Raises:
            Transient: `too_many_waiting`: no slot is free.
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
        """Takes a random slot, so that instances seldom try the same one; lists the slots only if that is not free."""
        count = self._slots.count
        if count == 0:
            return None
        if slot := self._slots.take(Free(random.randrange(count))):  # noqa: S311 - spreads the load, guards nothing
            return slot
        free = self._slots.list_free()
        for choice in random.sample(free, min(_TRIES, len(free))):
            if slot := self._slots.take(choice):
                return slot
        return None


def _ended(found: tuple[Record, str] | None) -> bool:
    return found is None or found[0].ended
