"""Waiting for a job's end, when there is nothing to wait on but S3."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from urlshot import records
from urlshot.errors import Transient
from urlshot.logs import logger
from urlshot.records import Record
from urlshot.store import Store

WAIT_SECONDS = 25.0
"""The longest that a request is kept waiting; API Gateway stops listening after 29 s."""

FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.1, 1.4, 2.5
"""Seconds between two looks, each pause longer than the one before: a wait of 25 s costs about 20 reads. A job that
ends after t seconds is told at most about 0.4 t later, and 2.5 s at the most."""

TURN_SECONDS = 35.0
"""After so long a turn is taken for given up: longer than the function may run."""

_TRIES = 3  # turns that looked free, and which others were quicker to take

log = logger()


class Waiting:
    """Follows jobs; of all instances of this function together, at most `most` wait at a time.

    A request that waits holds an instance, and so many may be held that there is none left for those who only ask.
    Lambda cannot count them and instances do not know of one another, so each wait takes one of `most` turns, which are
    objects in the bucket that one holder at a time has. It costs a PUT and a DELETE, and a list and a PUT more where
    many wait; a request that has nothing to wait for takes none.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most

    def follow(self, job_id: str, seconds: float, *, or_refuse: bool = False) -> tuple[Record, str] | None:
        """The job's record with its ETag once it has ended, or as it stands after `seconds`; None if there is none.

        Where no turn is free, the record as it stands at once, or with `or_refuse` an error.

        Raises:
            Transient: `too_many_waiting`.
        """
        until = time.monotonic() + seconds
        found = self._store.read(job_id)
        if _ended(found) or seconds <= 0:
            return found
        turn = self._take_turn()
        if turn is None:
            log.warning("wait: no turn is free", extra={"job_id": job_id})
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
            self._store.give_turn_back(*turn)

    def _take_turn(self) -> tuple[str, str] | None:
        """Name and ETag of a turn; None where none is free.

        One call where the first that is tried is free; the list of all is only asked for where it is not.
        """
        if self._most == 0:
            return None
        name = str(random.randrange(self._most))  # noqa: S311 - spreads the load, guards nothing
        if etag := self._store.take_turn(name):
            return name, etag
        held = self._store.turns()
        free: dict[str, str | None] = {str(number): None for number in range(self._most) if str(number) not in held}
        given_up = records.now() - timedelta(seconds=TURN_SECONDS)
        free |= {name: etag for name, (etag, since) in held.items() if since < given_up and int(name) < self._most}
        for name in random.sample(list(free), min(_TRIES, len(free))):
            if etag := self._store.take_turn(name, free[name]):
                return name, etag
        return None


def _ended(found: tuple[Record, str] | None) -> bool:
    return found is None or found[0].state in ("done", "failed")
