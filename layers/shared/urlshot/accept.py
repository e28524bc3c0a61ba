"""Accepts a request: it becomes a hit, a job of its own, or joins the job that is there.

`api` accepts HTTP requests here and `dispatch` bare AMQP messages, so that there is one message and one render for an
id, however many ask for it. The promise: `QUEUED` and `JOINED` are only returned on the strength of a publish that the
broker has confirmed.
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
from urlshot.logs import error_fields, logger
from urlshot.messages import EXCHANGE, START_KEYS, TYPE, Priority
from urlshot.options import Options
from urlshot.private import Private
from urlshot.records import Found, Record, message_of
from urlshot.s3 import Conflict, Gone
from urlshot.store import Pdf, Store

log = logger()


@dataclass(frozen=True)
class Request:
    """A request for a PDF, made at `at`. `max_age` is in seconds; 0 wants a new render."""

    id: str
    url: str
    options: Options
    max_age: int
    at: datetime
    private: Private = field(default_factory=Private)
    """Makes the job private: its id is random, so that no other request joins it or hits its PDF."""
    correlation_id: str = ""
    """Names the request in log lines: API Gateway's id of it, or an AMQP client's own."""
    priority: Priority = "normal"


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
        self,
        store: Store,
        publisher: Publisher,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        self._store = store
        self._publisher = publisher
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
            mine = records.create(
                request.id, request.url, request.options, self._clock(), found and found[0], request.priority
            )
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
        """Waits while another request publishes; returns an answer, or else the record to take over, if there is one.

        `seen` is the record, if it was read a moment ago.
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
                    return self._join(request, found, pdf), None
                case Found.WAIT:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise Transient("busy", internal=f"still {record.state} at the end of patience")
                    time.sleep(min(pause, left) * random.uniform(0.5, 1))  # noqa: S311
                    pause = min(pause * 1.6, 0.5)  # S3 has nothing to wait on; grow, so as not to hammer it

    def _join(self, request: Request, found: tuple[Record, str], pdf: Pdf | None) -> Accepted:
        """Joins a job that is under way, or one that has just ended."""
        record, etag = found
        if record.state == "done":
            pdf = pdf or self._store.head_pdf(record.id)
            return Accepted(Outcome.HIT if pdf else Outcome.JOINED, record, pdf)
        if record.state == "queued" and record.priority == "bulk" and request.priority == "normal":
            record = self._promote(record, etag, request)
        return Accepted(Outcome.JOINED, record)

    def _promote(self, record: Record, etag: str, request: Request) -> Record:
        """Publishes a bulk job's message once more, to the queue that this request would have used.

        The message in the bulk queue stays. The one that comes second finds the job under way or ended. If anything
        goes wrong here, the job still has the message in the bulk queue.
        """
        message, promoted = message_of(record, request.private), record.with_(priority="normal")
        try:
            self._store.change(promoted, etag)
            self._publisher.publish(
                EXCHANGE,
                START_KEYS["normal"],
                message.body(),
                message_id=record.id,
                correlation_id=request.correlation_id,
                type=TYPE,
            )
        except (Conflict, Gone):
            return record
        except Transient as error:
            log.warning("job: stays in the bulk queue", extra={"job_id": record.id, **error_fields(error)})
        return promoted

    def _fresh(self, record: Record, request: Request) -> Pdf | None:
        """Returns the PDF of a done job if it finished no longer than `max_age` before the request was made.

        The age counts from the request and not from now: of many requests with `max_age=0` at once, those that look a
        moment later find the render that the first one caused, and need no other.
        """
        finished = record.finished_at or record.requested_at
        if finished < request.at - timedelta(seconds=request.max_age):
            return None
        return self._store.head_pdf(record.id)

    def _publish(self, record: Record, etag: str, request: Request) -> Record | None:
        """Publishes the message of a record of ours, and returns the record as it then is.

        Returns None if the job was deleted meanwhile, or taken over because this took longer than its lease: then the
        message is of an old generation, and no answer may depend on it.
        """
        message = message_of(record, request.private)
        try:
            self._publisher.publish(
                EXCHANGE,
                START_KEYS[request.priority],
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
        """Writes how the publish went. The message may be faster and have changed the record, which is fine."""
        try:
            self._store.change(record, etag)
        except (Conflict, Gone):
            found = self._store.read(record.id)
            return found[0] if found is not None and found[0].generation == record.generation else None
        return record
