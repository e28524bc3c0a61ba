"""What happens to one message, from its claim to its announcement.

Each step leaves the record so that whoever comes after a crash can go on: a claim that died is found by its lease, an
end that was not announced by its flag. The message is acknowledged last, by the return of the handler.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.dispatch.batch import Delivery
from functions.dispatch.renderer import Renderer
from urlshot import events, records
from urlshot.accept import Door, Outcome, Request
from urlshot.broker import Publisher
from urlshot.bus import Bus
from urlshot.egress import Egress
from urlshot.errors import Broken, Rejected, Transient, UrlshotError
from urlshot.identity import job_id, private_id, target
from urlshot.jobs import Limits, RenderJob, Upload
from urlshot.logs import error_fields, logger
from urlshot.messages import (
    COMPLETED,
    DEAD,
    EXCHANGE,
    FAILED,
    TYPE,
    BareMessage,
    StartMessage,
    delay_queue,
    parse_message,
    stripped,
)
from urlshot.records import Claim, Record
from urlshot.store import Conflict, Gone, Store

log = logger()

THROTTLE_SECONDS = 20.0
"""How long a claimed job waits for a free renderer before it goes back to wait in a queue."""

SLACK = timedelta(seconds=15)
"""What a lease has over the longest wait and the longest render: for the claim itself and for settling."""


@dataclass(frozen=True)
class Policy:
    """What the deployment says about jobs."""

    egress: Egress
    max_age: int
    max_attempts: int
    delays: tuple[int, ...]
    render_timeout: float

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=THROTTLE_SECONDS + self.render_timeout) + SLACK


class Worker:
    """Handles messages; safe to share between threads."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        door: Door,
        bus: Bus,
        renderer: Renderer,
        policy: Policy,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._door = door
        self._bus = bus
        self._renderer = renderer
        self.policy = policy
        self._clock = clock

    def handle(self, delivery: Delivery) -> str:
        """Handles one message and says in a word or two what became of it.

        Raises:
            Transient, Broken: only when the message may not be acknowledged, because storage, bus or broker does not
                take what must be written before: then the batch has to come again.
        """
        try:
            message = parse_message(delivery.body)
        except Rejected as error:
            return self._bury(delivery.body, error)
        if isinstance(message, BareMessage):
            return self._accept(message, delivery)
        return self._work(message, delivery)

    # ---- a bare message becomes a job of ours, or joins one --------------------------------------------------------

    def _accept(self, message: BareMessage, delivery: Delivery) -> str:
        at = self._clock()
        try:
            where = target(message.url, self.policy.egress)
        except Rejected as error:
            return self._bury(delivery.body, error)
        request = Request(
            id=private_id() if message.private else job_id(where.url, message.options.changed()),
            url=where.url,
            options=message.options,
            max_age=self.policy.max_age,
            at=at,
            private=message.private,
            correlation_id=delivery.correlation_id,
        )
        accepted = self._door.accept(request, patience=records.PUBLISH_LEASE.total_seconds() + 1)
        # An end that was told before is told again to whoever asked now, under a key of its own.
        if accepted.outcome is Outcome.HIT:
            found = self._store.read(request.id)
            report = found[0].report if found else None
            self._tell(events.cached(request.id, request.url, self._store.bucket, at, report))
        elif accepted.outcome is Outcome.FAILED and accepted.record is not None:
            self._tell(events.told_again(events.detail(accepted.record, self._store.bucket, render_seconds=0.0)))
        log.info(f"message: {accepted.outcome.value}", extra={"job_id": request.id, "url": request.url})
        return accepted.outcome.value

    # ---- a message of ours -----------------------------------------------------------------------------------------

    def _work(self, message: StartMessage, delivery: Delivery) -> str:
        while True:
            found = self._store.read(message.id)
            record, etag = found or (None, "")
            at = self._clock()
            decision = records.claim(record, message.generation, at, self.policy.max_attempts)
            if record is None or decision is Claim.DROP:
                log.info("message: dropped", extra={"job_id": message.id, "generation": message.generation})
                return "dropped"
            try:
                match decision:
                    case Claim.PARK:
                        self._again(delivery, message, record.lease_until - at)
                        return "parked"
                    case Claim.ANNOUNCE:
                        return self._announce(record, etag, 0.0)
                    case Claim.EXHAUST:
                        error = UrlshotError("crash", f"It was tried {record.attempt} times and never ended.")
                        return self._end(message, records.failed(record, error.public(), at), etag, 0.0, bury=True)
                    case Claim.RUN:
                        claimed = records.running(record, self.policy.lease, at)
                        etag = self._store.change(claimed, etag)
                        return self._render(delivery, message, claimed, etag)
            except Conflict:
                continue  # the record went on between our read and our write: look again
            except Gone:
                return self._clear(message.id)

    def _render(self, delivery: Delivery, message: StartMessage, record: Record, etag: str) -> str:
        """Renders what is claimed, and settles it. From here on a conflict means that the claim was lost."""
        log.info("job: claimed", extra={"job_id": record.id, "attempt": record.attempt, "url": record.url})
        limits = Limits(seconds=self.policy.render_timeout)
        form = self._store.upload_form(record, limits.pdf_bytes, record.lease_until - self._clock())
        job = RenderJob(
            id=record.id,
            generation=record.generation,
            url=record.url,
            options=record.options,
            limits=limits,
            upload=Upload(**form),
            private=message.private,
        )
        started = time.monotonic()
        try:
            answer = self._renderer.render(job, THROTTLE_SECONDS)
            error, report = answer.error, answer.report
        except (Transient, Broken) as trouble:
            log.warning("render: no answer", extra={"job_id": record.id, **error_fields(trouble)})
            error, report = trouble.public(), None
        seconds = time.monotonic() - started
        at = self._clock()
        try:
            if report is not None:
                waited = (at - record.requested_at).total_seconds() - seconds
                phases = {"queue": round(max(0.0, waited) * 1000, 1), **report.phases}
                report = report.model_copy(update={"phases": phases})
                return self._end(message, records.done(record, report, at), etag, seconds)
            error = error or Broken("render answered neither a report nor an error").public()
            throttled = error["code"] == "throttled"
            if throttled or (error["retryable"] and record.attempt < self.policy.max_attempts):
                return self._retry(delivery, message, record, etag, error, spent=not throttled)
            failed = records.failed(record, error, at)
            return self._end(message, failed, etag, seconds, bury=bool(error["retryable"]))
        except Conflict:
            log.warning("job: claim lost", extra={"job_id": record.id, "generation": record.generation})
            return "lost"
        except Gone:
            return self._clear(record.id)

    def _retry(
        self,
        delivery: Delivery,
        message: StartMessage,
        record: Record,
        etag: str,
        error: dict[str, Any],
        *,
        spent: bool,
    ) -> str:
        step = min(record.attempt, len(self.policy.delays)) - 1 if spent else 0
        delay = timedelta(seconds=self.policy.delays[step])
        self._store.change(records.waiting(record, delay, self._clock(), spent=spent), etag)
        self._again(delivery, message, delay)
        log.info("job: to be tried again", extra={"job_id": record.id, "delay": delay.seconds, "error": error["code"]})
        return "retried"

    def _end(self, message: StartMessage, record: Record, etag: str, seconds: float, *, bury: bool = False) -> str:
        etag = self._store.change(record, etag)
        if bury:
            bare = BareMessage(url=record.url, options=record.options, private=message.private)
            self._publisher.publish(
                "",
                DEAD,
                stripped(bare.body()),
                message_id=message.id,
                type=TYPE,
                headers={"reason": _reason(record.error or {})},
            )
        return self._announce(record, etag, seconds)

    def _announce(self, record: Record, etag: str, seconds: float) -> str:
        self._tell(events.detail(record, self._store.bucket, render_seconds=seconds))
        try:
            self._store.change(record.with_(announced=True), etag)
        except Conflict:  # taken over by a new generation, which carries on from here; all that mattered was told
            log.info("job: taken over after its end", extra={"job_id": record.id})
        except Gone:
            return self._clear(record.id)
        log.info(f"job: {record.state}", extra={"job_id": record.id, "generation": record.generation})
        return record.state

    def _tell(self, detail: events.Detail) -> None:
        """Tells the bus, and AMQP consumers; those may or may not be there, so this one message is not mandatory."""
        self._bus.put([detail])
        key = FAILED if detail.error else COMPLETED
        body = detail.model_dump_json().encode()
        self._publisher.publish(EXCHANGE, key, body, message_id=detail.id, type=key, mandatory=False)

    def postpone(self, delivery: Delivery) -> str:
        """Lets a message that there is no time for come again, as it is and without using up an attempt.

        Raises:
            Transient: the broker does not take it.
        """
        queue = delay_queue(delivery.queue, self.policy.delays[0])
        self._publisher.publish("", queue, delivery.body, correlation_id=delivery.correlation_id, type=TYPE)
        return "postponed"

    def _again(self, delivery: Delivery, message: StartMessage, wait: timedelta) -> None:
        """Puts the message into the delay queue that fits `wait` best, from where it comes back to its work queue, or
        to the one that took over from that (functions/topology)."""
        seconds = next((step for step in self.policy.delays if step >= wait.total_seconds()), self.policy.delays[-1])
        queue = delay_queue(delivery.queue, seconds)
        self._publisher.publish(
            "", queue, message.body(), message_id=message.id, correlation_id=delivery.correlation_id, type=TYPE
        )

    def _clear(self, deleted_id: str) -> str:
        """The record was deleted meanwhile: what was uploaded goes with it."""
        self._store.delete_pdf(deleted_id)
        log.info("job: deleted meanwhile", extra={"job_id": deleted_id})
        return "deleted"

    def _bury(self, body: bytes, error: Rejected) -> str:
        """Keeps what can never be done, with the reason in a header."""
        self._publisher.publish("", DEAD, stripped(body), type=TYPE, headers={"reason": _reason(error.public())})
        log.warning("message: dead", extra=error_fields(error))
        return "dead"


def _reason(error: dict[str, Any]) -> str:
    return json.dumps({"code": error.get("code", "internal"), "detail": error.get("detail", "")})
