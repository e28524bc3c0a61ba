"""The one way in: a request becomes a hit, a job of its own, or joins the job that is there.

`api` comes here with HTTP requests and `dispatch` with bare AMQP messages, so that however many ask for one id in
whatever way, there is one message and one render. Its promise: it returns `QUEUED` or `JOINED` only on the strength of
a publish that the broker has confirmed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from urlshot import records
from urlshot.broker import Publisher
from urlshot.errors import Transient
from urlshot.messages import EXCHANGE, TYPE, StartMessage, shard_of, start_key
from urlshot.options import Options
from urlshot.private import Private
from urlshot.records import Found, Record
from urlshot.store import Conflict, Gone, Pdf, Store


@dataclass(frozen=True)
class Request:
    """What is asked for. `max_age` in seconds; 0 wants a new render. `at` is when it was asked."""

    id: str
    url: str
    options: Options
    max_age: int
    at: datetime
    private: Private = field(default_factory=Private)
    """Makes the job private: its id is random, so that nobody joins it and it is nobody's hit."""
    correlation_id: str = ""
    """Names the request in the logs of whoever works for it: API Gateway's id of it, or an AMQP client's own."""


class Outcome(Enum):
    HIT = "hit"
    QUEUED = "queued"
    JOINED = "joined"
    FAILED = "failed"
    """It failed a short while ago and is not tried again yet."""


@dataclass(frozen=True)
class Accepted:
    """`pdf` is set with HIT, `record` with all others; HIT has it where it happened to be read."""

    outcome: Outcome
    record: Record | None = None
    pdf: Pdf | None = None


class Door:
    """Accepts requests for one bucket and one broker."""

    def __init__(
        self, store: Store, publisher: Publisher, shards: int, clock: Callable[[], datetime] = records.now
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._shards = shards
        self._clock = clock

    def accept(self, request: Request, patience: float) -> Accepted:
        """Accepts one request, within about `patience` seconds.

        A hit costs one call of S3 (HEAD); a miss three (HEAD, PUT, PUT) and one publish; joining three (HEAD, PUT,
        GET).

        Raises:
            Transient: `queue_unavailable` when the publish was not confirmed (the record then says so), `busy` when
                others were still publishing this job at the end of patience, `storage_unavailable`.
        """
        if request.max_age > 0 and not request.private:
            pdf = self._store.head_pdf(request.id)
            if pdf is not None and request.at - pdf.modified <= timedelta(seconds=request.max_age):
                return Accepted(Outcome.HIT, pdf=pdf)
        deadline = time.monotonic() + patience
        found: tuple[Record, str] | None = None
        while True:
            mine = records.create(request.id, request.url, request.options, self._clock(), found and found[0])
            seen = None
            try:
                etag = self._store.change(mine, found[1]) if found else self._store.create(mine)
            except Conflict as conflict:
                seen = conflict.found
            except Gone:
                pass
            else:
                queued = self._publish(mine, etag, request)
                if queued is not None:
                    return Accepted(Outcome.QUEUED, queued)
            answer, found = self._look(request, deadline, seen)
            if answer is not None:
                return answer

    def _look(
        self, request: Request, deadline: float, seen: tuple[Record, str] | None
    ) -> tuple[Accepted | None, tuple[Record, str] | None]:
        """Waits out others' publishing; then either there is an answer, or a record to be taken over (or none).

        `seen` is the record as it was found just now, if it was.
        """
        pause = 0.03
        while True:
            found, seen = seen or self._store.read(request.id), None
            if found is None:
                return None, None
            record = found[0]
            pdf = self._fresh(record, request) if record.state == "done" else None
            match records.look(record, self._clock(), again=request.max_age == 0, pdf=pdf is not None):
                case Found.TAKE_OVER:
                    return None, found
                case Found.FAILED:
                    return Accepted(Outcome.FAILED, record), None
                case Found.JOIN:
                    return Accepted(Outcome.HIT if pdf else Outcome.JOINED, record, pdf), None
                case Found.WAIT:
                    if time.monotonic() >= deadline:
                        raise Transient("busy", internal=f"still {record.state} at the end of patience")
                    time.sleep(min(pause, max(0.0, deadline - time.monotonic())) * random.uniform(0.5, 1))  # noqa: S311
                    pause = min(pause * 1.6, 0.5)  # S3 has nothing to wait on; grow, so as not to hammer it

    def _fresh(self, record: Record, request: Request) -> Pdf | None:
        """The PDF of a done job if it will do: finished no longer than `max_age` before the request was made.

        Measured from the request, not from now: of many who ask with `max_age=0` at once, those who look up a moment
        later find the render that the first one caused, and need no other.
        """
        finished = record.finished_at or record.requested_at
        if finished < request.at - timedelta(seconds=request.max_age):
            return None
        return self._store.head_pdf(record.id)

    def _publish(self, record: Record, etag: str, request: Request) -> Record | None:
        """Publishes the message of a record of ours, and returns the record as it then is.

        None when it was taken over meanwhile, because this took longer than its lease, or was deleted: then the message
        is of an old generation and nothing stands on it.
        """
        message = StartMessage(
            **record.model_dump(include={"id", "generation", "url", "requested_at"}),
            options=record.options,
            private=request.private,
        )
        key = start_key(shard_of(record.id, self._shards))
        try:
            self._publisher.publish(
                EXCHANGE,
                key,
                message.body(),
                message_id=record.id,
                correlation_id=request.correlation_id,
                type=TYPE,
            )
        except Transient as error:
            self._write(records.unpublished(record, error, self._clock()), etag)
            raise
        return self._write(records.queued(record, self._clock()), etag)

    def _write(self, record: Record, etag: str) -> Record | None:
        """Writes what became of the publish. The message may have overtaken it, which is as good."""
        try:
            self._store.change(record, etag)
        except (Conflict, Gone):
            found = self._store.read(record.id)
            return found[0] if found is not None and found[0].generation == record.generation else None
        return record
