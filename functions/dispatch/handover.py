"""Hands the job of one message over to `render`, or parks the message.

    slot ──▶ claim ──▶ invoke render ──▶ park the message for the lease ──▶ acknowledge

The return of the handler acknowledges the message, as the last step. Until then the broker keeps the delivered message;
after that it keeps the parked one. So the job has a message on the broker at every moment. If the function dies on the
way, slot and claim end with their leases, the message comes back, and `dispatch` continues from the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from functions.dispatch.batch import Delivery
from functions.dispatch.invoke import Renderer
from functions.dispatch.pool import SlotPool
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.s3 import Conflict, Gone
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Broken, Transient, UrlshotError
from urlshot.core.messages import QUEUES, StartMessage
from urlshot.core.private import Private
from urlshot.core.records import Bounds, Decision, Record, Step
from urlshot.core.render_contract import Limits, RenderJob, Slot, Upload
from urlshot.lifecycle import withdrawal
from urlshot.lifecycle.announce import Announcer
from urlshot.lifecycle.parking import Parking

log = logger()

REREAD_SECONDS = 1.0
"""If the wait for a slot was longer than this, the record is read again before the claim."""


HANDED_OVER, NO_SLOT = "handed over", "no slot"


@dataclass(frozen=True)
class Handled:
    """Says how a message was handled, and for how many seconds it waited for a slot."""

    outcome: str
    slot_wait: float = 0.0


@dataclass(frozen=True)
class Handling:
    """Holds a message that is being handed over, when it arrived, and the seconds that it waited for a slot."""

    message: StartMessage
    delivery: Delivery
    arrived: datetime
    waited: float = 0.0


class HandOver:
    """Hands jobs over to `render`; is safe to share between threads."""

    def __init__(
        self,
        store: Store,
        slots: Slots,
        announcer: Announcer,
        parking: Parking,
        renderer: Renderer,
        bounds: Bounds,
        render_timeout: int,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        """Keeps what the steps need; `render_timeout` is the timeout of the function `render` in seconds."""
        self._store = store
        self._slots = slots
        self._announcer = announcer
        self._parking = parking
        self._renderer = renderer
        self._bounds = bounds
        self._limits = Limits(seconds=render_timeout)
        self._clock = clock

    def handle(self, message: StartMessage, delivery: Delivery, pool: SlotPool) -> Handled:
        """Hands the job of one message over, or does what its record requires.

        Args:
            message: the message.
            delivery: the delivery that brought it.
            pool: the slots of the batch.

        Raises:
            Transient, Broken: a write to storage, bus or broker failed that must precede the acknowledgement; the
                message must be delivered again.
        """
        arrived, waited = self._clock(), 0.0
        slot: Slot | None = None
        try:
            while True:
                found = self._store.read(message.id)
                record, etag = found or (None, "")
                at = self._clock()
                decision = records.decide(record, message.generation, at, self._bounds)
                if record is None or decision.step is not Step.RUN:
                    return Handled(self._not_now(message, delivery, record, etag, decision), waited)
                if slot is None:
                    began = time.monotonic()
                    slot = pool.take(delivery.priority)
                    waited = time.monotonic() - began
                    if slot is None:
                        self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
                        log.info("job: no slot became free", extra={"job_id": message.id})
                        return Handled(NO_SLOT, waited)
                    if waited > REREAD_SECONDS:
                        continue
                claimed = records.running(record, self._parking.lease, self._clock())
                try:
                    etag = self._store.change(claimed, etag)
                except (Conflict, Gone):
                    continue  # the record has changed since it was read: decide again
                held, slot = slot, None
                handling = Handling(message, delivery, arrived, waited)
                return Handled(self._hand_over(handling, claimed, etag, held), waited)
        finally:
            if slot is not None:
                self._give_back(slot)

    def _give_back(self, slot: Slot) -> None:
        """Gives a slot back; a failure leaves the slot in use until its lease ends, and does not affect the message."""
        try:
            self._slots.give_back(slot)
        except UrlshotError as error:
            log.warning("slot: not given back", extra={"slot": slot.number, **error_fields(error)})

    def give_up(self, message: StartMessage, delivery: Delivery) -> str:
        """Handles a message that the broker gave up: its job fails, unless it is under way or ended.

        Raises:
            Transient, Broken: as `handle`.
        """
        found = self._store.read(message.id)
        record, etag = found or (None, "")
        decision = records.decide(record, message.generation, self._clock(), self._bounds)
        if record is None or decision.step is not Step.RUN:
            return self._not_now(message, delivery, record, etag, decision)
        error = Broken(f"the broker gave the message up: {delivery.returned}")
        log.error("message: given up by the broker", extra={"job_id": message.id, "reason": delivery.returned})
        return self._fail(message, delivery, record, etag, error)

    def _not_now(
        self, message: StartMessage, delivery: Delivery, record: Record | None, etag: str, decision: Decision
    ) -> str:
        """Carries out every decision but RUN, and returns the outcome."""
        if record is None or decision.step is Step.DROP:
            if records.is_stray(record, message.generation):
                withdrawal.withdraw(self._store, message.id, generation=message.generation)
            elif record is not None:
                withdrawal.restore(self._store, record)
            log.info("message: dropped", extra={"job_id": message.id, "generation": message.generation})
            return "dropped"
        if decision.step is Step.PARK:
            wait, queue = (decision.until or record.lease_until) - self._clock(), delivery.queue
            if record.generation != message.generation:  # of a private job there is only one generation
                message, queue = records.message_of(record, Private()), QUEUES[record.priority]
            self._parking.park(message, queue, wait, delivery.correlation_id)
            return "parked"
        if decision.step is Step.ANNOUNCE:
            outcome = self._announcer.announce(message, record, etag, delivery.correlation_id)
            withdrawal.restore(self._store, record)  # this may be the last message of the job
            return outcome
        if decision.step is Step.OVERDUE:
            hours = self._bounds.age.total_seconds() / 3600
            error = UrlshotError("overloaded", f"The job did not end within {hours:g} hours.")
        else:
            error = UrlshotError("crash", f"The job used its {record.attempt} attempts, and none of them made a PDF.")
        return self._fail(message, delivery, record, etag, error)

    def _hand_over(self, handling: Handling, record: Record, etag: str, slot: Slot) -> str:
        """Invokes `render` for the claim of `record` and parks the message; returns the outcome.

        If Lambda refuses the job, the slot is given back here. Otherwise `settle` gives it back.
        """
        message, delivery = handling.message, handling.delivery
        try:
            self._renderer.hand_over(self._job(handling, record, slot))
        except Transient as error:
            log.warning("job: not accepted by Lambda for now", extra={"job_id": record.id, **error_fields(error)})
            with suppress(Conflict, Gone):  # the record has changed; the postponed message acts on it when it returns
                self._store.change(records.unstarted(record, self._clock()), etag)
            self._give_back(slot)
            self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
            return "refused"
        except Broken as error:
            log.exception("job: refused by Lambda", extra={"job_id": record.id, **error_fields(error)})
            self._give_back(slot)
            return self._fail(message, delivery, record, etag, error)
        self._parking.park(message, delivery.queue, self._parking.lease, delivery.correlation_id)
        handed = {"job_id": record.id, "attempt": record.attempt, "claim": record.claim, "slot": slot.number}
        log.info("job: handed over", extra={**handed, "url": record.url})
        return HANDED_OVER

    def _job(self, handling: Handling, record: Record, slot: Slot) -> RenderJob:
        at = self._clock()
        form = self._store.upload_form(record, self._limits.pdf_bytes, record.lease_until - at)
        queue = (handling.arrived - record.requested_at).total_seconds()
        return RenderJob(
            id=record.id,
            generation=record.generation,
            claim=record.claim,
            slot=slot,
            lease_until=record.lease_until,
            handed_over_at=at,
            phases={"queue": round(max(0.0, queue) * 1000, 1), "wait": round(handling.waited * 1000, 1)},
            correlation_id=handling.delivery.correlation_id,
            url=record.url,
            options=record.options,
            limits=self._limits,
            upload=Upload(**form),
            private=handling.message.private,
        )

    def _fail(self, message: StartMessage, delivery: Delivery, record: Record, etag: str, error: UrlshotError) -> str:
        failed = records.failed(record, error.public(), self._clock(), self._parking.lease)
        try:
            return self._announcer.end(message, failed, etag, delivery.correlation_id)
        except (Conflict, Gone):
            # The record has changed since it was read. The postponed message acts on it when it returns.
            self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
            return "postponed"
