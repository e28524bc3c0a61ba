"""Settles one invocation of `render`: frees the slot, ends or retries the job, and announces the end.

    slot freed ──▶ PDF published ──▶ record ended ──▶ announced

Lambda may call several times for one invocation, late, or never. So the claim is compared with the record before each
change, and each step can be repeated. If a step is never done here, the parked message of the job comes back, and
`dispatch` continues from the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.settle.invocation import Invocation
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.s3 import Conflict, Gone
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Pdf, Store
from urlshot.core import records
from urlshot.core.errors import UrlshotError
from urlshot.core.lease import SETTLE_SECONDS
from urlshot.core.messages import QUEUES
from urlshot.core.records import Record, Settlement
from urlshot.lifecycle import withdrawal
from urlshot.lifecycle.announce import Announcer
from urlshot.lifecycle.parking import Parking

log = logger()

DROPPED = "dropped"


@dataclass(frozen=True)
class Settled:
    """Says how an invocation was settled; `age` is the seconds from the claim to the end of the job, if it ended."""

    outcome: str
    age: float | None = None


class Settler:
    """Settles invocations of `render`."""

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
            Transient, Broken: storage, bus or broker does not answer; Lambda must call again.
        """
        job = invocation.job
        if job.slot is not None:
            self._slots.give_back(job.slot)
        while True:
            # Read before the record, so that a PDF which a newer claim publishes from now on is not replaced.
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
                        withdrawal.withdraw(self._store, job.id, generation=job.generation, claim=job.claim)
                return self._drop(invocation, record)
            except (Conflict, Gone):
                continue  # the record or the published PDF has changed since it was read: decide again

    def _end(self, invocation: Invocation, record: Record, etag: str, published: Pdf | None) -> Settled:
        """Ends or retries the job of a claim that is still the record's own.

        Raises:
            Conflict, Gone: the record or the published PDF has changed since it was read.
        """
        if invocation.report is not None:
            return self._publish(invocation, record, etag, published)
        if invocation.error is None:
            # No message is needed: the parked one comes back when the lease of the claim is over.
            self._store.change(records.unstarted(record, self._clock()), etag)
            log.warning("job: render did not start", extra={"job_id": record.id, "claim": record.claim})
            return Settled("not started")
        return self._fail_or_retry(invocation, record, etag, invocation.error)

    def _publish(self, invocation: Invocation, record: Record, etag: str, published: Pdf | None) -> Settled:
        """Publishes the PDF, ends the job as `done`, and announces the end.

        Raises:
            Conflict, Gone: the record or the published PDF has changed since it was read.
        """
        report, at = invocation.report, self._clock()
        assert report is not None  # noqa: S101
        if published is not None and published.claim == record.claim and not _is_published(invocation, published):
            # Lambda delivered the event twice, and the PDF of the other run is published. The result of that run
            # normally ends the job; otherwise the parked message comes back.
            log.warning("job: another run has published", extra={"job_id": record.id, "claim": record.claim})
            return Settled(DROPPED)
        if at + timedelta(seconds=SETTLE_SECONDS) > record.lease_until:
            # Without this, a new claim or a takeover could come between the publication of the PDF and `done`.
            record = records.extended(record, at)
            etag = self._store.change(record, etag)
        try:
            if not _is_published(invocation, published):
                self._store.publish_pdf(record, invocation.etag, published)
        except (Conflict, Gone):
            uploaded = self._store.upload_etag(record)
            if uploaded == invocation.etag:
                raise
            if uploaded is None:
                missing = UrlshotError("internal", internal="render reported a PDF but did not upload it")
                return self._fail_or_retry(invocation, record, etag, missing)
            # Lambda delivered the event twice, and the other run replaced the upload. The result of that run normally
            # ends the job; otherwise the parked message comes back.
            log.warning("job: another run has replaced the upload", extra={"job_id": record.id, "claim": record.claim})
            return Settled(DROPPED)
        done = records.done(record, report, self._clock(), self._parking.lease, invocation.etag)
        return self._announce(invocation, done, self._store.change(done, etag))

    def _fail_or_retry(self, invocation: Invocation, record: Record, etag: str, error: UrlshotError) -> Settled:
        fields = {"job_id": record.id, "claim": record.claim, "attempt": record.attempt, **error_fields(error)}
        if error.retryable and record.attempt < self._max_attempts:
            delay = self._parking.retry_delay(record.attempt)
            waiting = records.waiting(record, delay, self._clock())
            self._store.change(waiting, etag)
            log.warning("job: will be retried", extra={**fields, "delay": delay.seconds})
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
        log.info("result: dropped", extra={"job_id": job.id, "generation": job.generation, "claim": job.claim, **now})
        return Settled(DROPPED)


def _is_published(invocation: Invocation, published: Pdf | None) -> bool:
    """Says whether an earlier call of this function published the PDF of this run, and died before it ended the job."""
    if published is None:
        return False
    return (published.claim, published.upload) == (invocation.job.claim, invocation.etag.strip('"'))
