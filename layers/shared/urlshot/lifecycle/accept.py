"""Accepts a request: the request hits a stored PDF, creates a job, or joins an existing job.

`api` accepts HTTP requests here, and `dispatch` accepts bare AMQP messages. So an id has one message and one render,
however many requests there are for it. `QUEUED` and `JOINED` promise that the broker has confirmed the job's message.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from urlshot.adapters.broker import Publisher
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.s3 import Conflict, Gone
from urlshot.adapters.store import Pdf, Store
from urlshot.core import records
from urlshot.core.errors import Transient
from urlshot.core.messages import EXCHANGE, START_KEYS, TYPE, Priority
from urlshot.core.options import Options
from urlshot.core.private import Private, no_secrets
from urlshot.core.records import Found, Record, message_of

log = logger()


@dataclass(frozen=True)
class Request:
    """A request for a PDF."""

    id: str
    url: str
    options: Options
    max_age: int
    """Age in seconds up to which a stored PDF answers the request; 0 asks for a new render."""
    at: datetime
    """When the request was made."""
    private: Private = field(default_factory=no_secrets)
    """Makes the job private if not empty. The id of a private job is random, so no other request joins the job."""
    correlation_id: str = ""
    """Identifies the request in log lines: the request id of API Gateway, or the AMQP client's own."""
    priority: Priority = "normal"


class Outcome(Enum):
    """How a request was accepted."""

    HIT = "hit"
    """A PDF is stored that is fresh enough."""
    QUEUED = "queued"
    """The request created a job."""
    JOINED = "joined"
    """The request joined an existing job."""
    FAILED = "failed"
    """The job failed recently and is not tried again yet."""


@dataclass(frozen=True)
class Accepted:
    """The result: HIT has `pdf`, and `record` only if it was read; all other outcomes have `record`."""

    outcome: Outcome
    record: Record | None = None
    pdf: Pdf | None = None


class Acceptor:
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
        """Accepts one request.

        A hit takes one call of S3 (HEAD). A miss takes three (HEAD, PUT, PUT) and one publish. Joining takes three
        (HEAD, PUT, GET).

        Args:
            request: The request to accept.
            patience: Seconds to wait while another request publishes the same job.

        Raises:
            Transient: `queue_unavailable` if the publish was not confirmed (the record then says so), `busy` if another
                request was still publishing this job when `patience` was over, or `storage_unavailable`.
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
                queued = self._publish(mine, etag, request, found and found[0])
                if queued is not None:
                    return Accepted(Outcome.QUEUED, queued)
            answer, found = self._look(request, deadline, seen)
            if answer is not None:
                return answer

    def restore(self, record: Record, correlation_id: str) -> None:
        """Publishes the message of a done job once more: `dispatch` drops it, and restores the PDF if it is gone.

        A slow delete of an older generation may have removed it, if the URL serves a PDF and the two are equal. Only
        `dispatch` and `settle` may publish a PDF.

        Raises:
            Transient: The publish was not confirmed.
        """
        if record.state == "done":
            self._publisher.publish(
                EXCHANGE,
                START_KEYS[record.priority],
                message_of(record, no_secrets()).body(),
                message_id=record.id,
                correlation_id=correlation_id,
                type=TYPE,
            )

    def _look(
        self, request: Request, deadline: float, seen: tuple[Record, str] | None
    ) -> tuple[Accepted | None, tuple[Record, str] | None]:
        """Waits while another request publishes the job, then decides what this request does.

        Args:
            request: The request to accept.
            deadline: When to give up, on the monotonic clock.
            seen: The record with its ETag, if it has just been read.

        Returns:
            An answer and None; or None and the record to take over with its ETag; or twice None if there is no record.
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
                        raise Transient("busy", internal=f"the job was still {record.state} after the wait")
                    time.sleep(min(pause, left) * random.uniform(0.5, 1))  # noqa: S311
                    pause = min(pause * 1.6, 0.5)  # S3 offers no event to wait for; poll ever less often

    def _join(self, request: Request, found: tuple[Record, str], pdf: Pdf | None) -> Accepted:
        """Joins a job that is in progress or has just ended."""
        record, etag = found
        if record.state == "done":
            pdf = pdf or self._store.head_pdf(record.id)
            return Accepted(Outcome.HIT if pdf else Outcome.JOINED, record, pdf)
        if record.state == "queued" and record.priority == "bulk" and request.priority == "normal":
            record = self._promote(record, etag, request)
        return Accepted(Outcome.JOINED, record)

    def _promote(self, record: Record, etag: str, request: Request) -> Record:
        """Publishes the message of a bulk job a second time, to the queue for normal requests.

        The first message stays in the bulk queue. Whichever is delivered second finds the job in progress or ended. If
        this publish fails, the job still has its message in the bulk queue.
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
        """Returns the PDF of a done job if the job finished at most `max_age` before the request was made.

        The age counts back from the request, not from now. So many simultaneous requests with `max_age=0` share the
        render that the first of them starts.
        """
        finished = record.finished_at or record.requested_at
        if finished < request.at - timedelta(seconds=request.max_age):
            return None
        return self._store.head_pdf(record.id)

    def _publish(self, record: Record, etag: str, request: Request, over: Record | None) -> Record | None:
        """Publishes the message of a record that this request wrote, and returns the record as it is afterwards.

        Returns None if the job was deleted meanwhile, or taken over because the publish took longer than its lease. The
        message then belongs to an old generation, and no answer may depend on it.

        Args:
            record: The record.
            etag: Its ETag.
            request: The request.
            over: The record that it replaced.

        Raises:
            Transient: The publish was not confirmed.
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
            # A job that had not ended may have a message of its older generation on the broker, and other requests wait
            # for its end. `dispatch` continues it with that message, because it stays in the state `publishing`.
            if over is None or over.ended:
                self._write(records.unpublished(record, error, self._clock()), etag)
            raise
        return self._write(records.queued(record, self._clock()), etag)

    def _write(self, record: Record, etag: str) -> Record | None:
        """Writes the result of the publish, unless the consumer of the message has already changed the record."""
        try:
            self._store.change(record, etag)
        except (Conflict, Gone):
            found = self._store.read(record.id)
            return found[0] if found is not None and found[0].generation == record.generation else None
        return record
