"""Settles one invocation of `render`: gives the slot back, ends the job or has it tried again, and announces the end.

    slot back ──▶ PDF published ──▶ record ended ──▶ announced

Lambda may call more than once for one invocation, late, or never. Each step therefore compares the claim with the
record and can be repeated. What is not done here is done when the job's parked message comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.settle.invocation import Invocation
from urlshot import records
from urlshot.announce import Announcer
from urlshot.errors import UrlshotError
from urlshot.lease import SETTLE_SECONDS
from urlshot.logs import error_fields, logger
from urlshot.messages import QUEUES
from urlshot.parking import Parking
from urlshot.records import Record, Settlement
from urlshot.s3 import Conflict, Gone
from urlshot.slots import Slots
from urlshot.store import Pdf, Store

log = logger()

DROPPED = "dropped"


@dataclass(frozen=True)
class Settled:
    """How an invocation was settled, in a word; and the seconds from its claim to the end of the job, if it ended."""

    outcome: str
    age: float | None = None


class Settler:
    """Settles invocations."""

    def __init__(
        self,
        store: Store,
        slots: Slots,
        announcer: Announcer,
        parking: Parking,
        max_attempts: int,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        self._store = store
        self._slots = slots
        self._announcer = announcer
        self._parking = parking
        self._max_attempts = max_attempts
        self._clock = clock

    def settle(self, invocation: Invocation) -> Settled:
        """Settles one invocation.

        Raises:
            Transient, Broken: storage, bus or broker does not answer; Lambda has to call again.
        """
        job = invocation.job
        if job.slot is not None:
            self._slots.give_back(job.slot)
        while True:
            # Looked at before the record is read: a PDF that a newer job publishes from now on is not replaced.
            published = self._store.head_pdf(job.id) if invocation.report is not None else None
            found = self._store.read(job.id)
            record, etag = found or (None, "")
            try:
                match records.settlement(record, job.generation, job.claim):
                    case Settlement.END if record is not None:
                        return self._end(invocation, record, etag, published)
                    case Settlement.RESEND if record is not None and record.not_before is not None:
                        return self._resend(invocation, record, record.not_before - self._clock())
                    case Settlement.ANNOUNCE if record is not None:
                        return self._announce(invocation, record, etag)
                    case Settlement.STRAY:
                        self._store.withdraw_pdf(job.id, generation=job.generation, claim=job.claim)
                return self._drop(invocation, record)
            except (Conflict, Gone):
                continue  # the record changed since it was read: decide again

    def _end(self, invocation: Invocation, record: Record, etag: str, published: Pdf | None) -> Settled:
        """Raises: Conflict, Gone: the record changed since it was read."""
        if invocation.report is not None:
            return self._publish(invocation, record, etag, published)
        if invocation.error is None:
            # Nothing is published: the parked message comes back when the lease is over.
            self._store.change(records.unstarted(record, self._clock()), etag)
            log.warning("job: render did not start", extra={"job_id": record.id, "claim": record.claim})
            return Settled("not started")
        return self._failed(invocation, record, etag, invocation.error)

    def _publish(self, invocation: Invocation, record: Record, etag: str, published: Pdf | None) -> Settled:
        """Raises: Conflict, Gone: record or published PDF changed since they were read."""
        report, at = invocation.report, self._clock()
        assert report is not None  # noqa: S101
        if published is not None and published.claim == record.claim and published.upload != invocation.etag.strip('"'):
            # Lambda ran the event twice. The other run's PDF is published, and its answer ends the job.
            log.warning("job: a second run has published", extra={"job_id": record.id, "claim": record.claim})
            return Settled(DROPPED)
        if at + timedelta(seconds=SETTLE_SECONDS) > record.lease_until:
            # Another claim or a takeover may come any moment now; it would find this PDF published without an end.
            record = records.extended(record, at)
            etag = self._store.change(record, etag)
        try:
            self._store.publish_pdf(record, invocation.etag, published)
        except (Conflict, Gone):
            uploaded = self._store.upload_etag(record)
            if uploaded == invocation.etag:
                raise
            if uploaded is None:
                missing = UrlshotError("internal", internal="render reported a PDF and uploaded none")
                return self._failed(invocation, record, etag, missing)
            # Lambda ran the event twice, and the second run has replaced the upload; its own answer is on the way.
            log.warning("job: upload replaced by a second run", extra={"job_id": record.id, "claim": record.claim})
            return Settled(DROPPED)
        done = records.done(record, report, self._clock(), self._parking.lease)
        return self._announce(invocation, done, self._store.change(done, etag))

    def _failed(self, invocation: Invocation, record: Record, etag: str, error: UrlshotError) -> Settled:
        fields = {"job_id": record.id, "claim": record.claim, "attempt": record.attempt, **error_fields(error)}
        if error.retryable and record.attempt < self._max_attempts:
            delay = self._parking.retry_delay(record.attempt)
            waiting = records.waiting(record, delay, self._clock())
            self._store.change(waiting, etag)
            log.warning("job: to be tried again", extra={**fields, "delay": delay.seconds})
            return self._resend(invocation, waiting, delay)
        log.warning("job: failed", extra=fields)
        failed = records.failed(record, error.public(), self._clock(), self._parking.lease)
        return self._announce(invocation, failed, self._store.change(failed, etag))

    def _resend(self, invocation: Invocation, record: Record, delay: timedelta) -> Settled:
        job = invocation.job
        message = records.message_of(record, job.private)
        self._parking.park(message, QUEUES[record.priority], delay, job.correlation_id)
        return Settled("retried")

    def _announce(self, invocation: Invocation, record: Record, etag: str) -> Settled:
        job = invocation.job
        state = self._announcer.announce(records.message_of(record, job.private), record, etag, job.correlation_id)
        started, finished = record.started_at, record.finished_at
        return Settled(state, (finished - started).total_seconds() if started and finished else None)

    def _drop(self, invocation: Invocation, record: Record | None) -> Settled:
        job = invocation.job
        now = {"state": record.state, "now": record.claim} if record is not None else {"state": "deleted"}
        log.info("answer: dropped", extra={"job_id": job.id, "generation": job.generation, "claim": job.claim, **now})
        return Settled(DROPPED)
