"""Lambda's entry: takes a batch, handles its messages side by side, and answers for each."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.dispatch.bare import BareMessages
from functions.dispatch.batch import Delivery, deliveries
from functions.dispatch.handover import HANDED_OVER, NO_SLOT, Handled, HandOver
from functions.dispatch.invoke import Renderer, lambda_client
from functions.dispatch.pool import WAIT_SECONDS, SlotPool
from urlshot import records
from urlshot.accept import Door
from urlshot.announce import Announcer
from urlshot.broker import Publisher
from urlshot.bus import Bus
from urlshot.errors import Broken, Rejected, UrlshotError
from urlshot.lease import lease_seconds
from urlshot.logs import error_fields, logger
from urlshot.messages import BareMessage, Delays, parse_message
from urlshot.parking import Parking
from urlshot.records import Bounds
from urlshot.s3 import s3_client
from urlshot.secrets import read_credentials
from urlshot.settings import EgressSettings
from urlshot.slots import Free, Slots
from urlshot.store import Store

ALONE_SECONDS = 45.0
"""A message that was delivered before is begun only if the function has this much time left."""

LEFT = "left"
"""The outcome of a message that may not be acknowledged."""

log = logger()
metrics = Metrics()


class DispatchSettings(EgressSettings):
    bucket: str
    broker_url: str
    broker_secret: str
    bus: str
    render_function: str
    render_timeout: int = Field(gt=0, le=600)
    renders: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1, le=50)
    max_attempts: int = Field(ge=1, le=10)
    max_age: int = Field(ge=1)
    max_job_age: int = Field(ge=60)
    retry_delays: Delays


class Dispatcher:
    """Handles batches; its threads live as long as the process."""

    def __init__(
        self,
        slots: Slots,
        bare: BareMessages,
        hand_over: HandOver,
        announcer: Announcer,
        parking: Parking,
        threads: int,
    ) -> None:
        self._slots = slots
        self._bare = bare
        self._hand_over = hand_over
        self._announcer = announcer
        self._parking = parking
        self._free: list[Free] | None = None
        self._threads = ThreadPoolExecutor(max_workers=threads)

    def handle(self, batch: list[Delivery], time_left: Callable[[], float]) -> list[Handled]:
        """Handles one batch.

        A message that was delivered before is handled alone, after the others: if it ended the last batch, its
        neighbours are not to suffer again.
        """
        pool = SlotPool(self._slots, time.monotonic() + WAIT_SECONDS, self._free)
        fresh = (one for one in batch if not one.redelivered)
        handled = list(self._threads.map(lambda one: self._guarded(one, pool), fresh))
        again = (one for one in batch if one.redelivered)
        handled += [self._guarded(one, pool if time_left() > ALONE_SECONDS else None) for one in again]
        self._free = pool.left()
        return handled

    def _guarded(self, delivery: Delivery, pool: SlotPool | None) -> Handled:
        """Handles one message so that no error of it reaches its neighbours. Without a `pool`, postpones it."""
        log.thread_safe_append_keys(correlation_id=delivery.correlation_id)
        try:
            return self._one(delivery, pool)
        except UrlshotError as error:
            log.exception("message: left in the queue", extra=error_fields(error))
            if delivery.returned:
                return self._back_to_work(delivery)
        except Exception:
            log.exception("message: left in the queue")
        finally:
            log.thread_safe_clear_keys()
        return Handled(LEFT)

    def _back_to_work(self, delivery: Delivery) -> Handled:
        """Postpones a returned message in its work queue, where the broker counts its deliveries from zero."""
        try:
            self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
        except UrlshotError as error:
            log.exception("message: left in the queue", extra=error_fields(error))
            return Handled(LEFT)
        return Handled("postponed")

    def _one(self, delivery: Delivery, pool: SlotPool | None) -> Handled:
        if pool is None:
            self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
            return Handled("postponed")
        try:
            message = parse_message(delivery.body)
            if isinstance(message, BareMessage) and delivery.returned:
                raise _given_up(delivery)
            if isinstance(message, BareMessage):
                return Handled(self._bare.accept(message, delivery))
            if delivery.returned:
                return Handled(self._hand_over.give_up(message, delivery))
        except Rejected as error:
            self._announcer.refuse(delivery.body, error, records.now(), delivery.correlation_id)
            log.warning("message: dead", extra=error_fields(error))
            return Handled("dead")
        return self._hand_over.handle(message, delivery, pool)


def _given_up(delivery: Delivery) -> Rejected:
    """The error of a bare message that the broker gave up."""
    if delivery.returned == "expired":
        return Rejected("message_expired")
    return Rejected("internal", f"The broker gave the message up: {delivery.returned}.")


@cache
def bootstrap() -> Dispatcher:
    """Makes the dispatcher, once a process."""
    settings = DispatchSettings.read(os.environ)
    s3 = s3_client(pool=settings.batch_size)
    store = Store(settings.bucket, s3)
    publisher = Publisher(settings.broker_url, lambda: read_credentials(settings.broker_secret))
    lease = lease_seconds(settings.render_timeout)
    parking = Parking(publisher, settings.retry_delays, lease)
    announcer = Announcer(store, publisher, Bus(settings.bus), parking)
    slots = Slots(settings.bucket, s3, "slot", settings.renders, timedelta(seconds=lease))
    hand_over = HandOver(
        store=store,
        slots=slots,
        announcer=announcer,
        parking=parking,
        renderer=Renderer(settings.render_function, lambda_client(settings.batch_size)),
        bounds=Bounds(settings.max_attempts, timedelta(seconds=settings.max_job_age)),
        render_timeout=settings.render_timeout,
    )
    bare = BareMessages(store, Door(store, publisher), announcer, settings.egress, settings.max_age)
    return Dispatcher(slots, bare, hand_over, announcer, parking, settings.batch_size)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handles one batch and returns how many messages had which outcome.

    Raises:
        Broken: some messages may not be acknowledged, because storage, bus or broker does not take what has to be
            written first. Lambda then returns the whole batch to the queue; messages that were handled find their jobs
            under way.
    """
    batch = deliveries(event)
    handled = bootstrap().handle(batch, lambda: context.get_remaining_time_in_millis() / 1000)
    outcomes = Counter(one.outcome for one in handled)
    metrics.add_metric("pdf.handed_over", MetricUnit.Count, outcomes[HANDED_OVER])
    metrics.add_metric("pdf.slot.missed", MetricUnit.Count, outcomes[NO_SLOT])
    for one in handled:
        if one.slot_wait > 0:
            metrics.add_metric("pdf.slot.wait", MetricUnit.Milliseconds, round(one.slot_wait * 1000, 1))
    metrics.flush_metrics()
    log.info("batch: handled", extra={"messages": len(batch), "outcomes": dict(outcomes)})
    if outcomes[LEFT]:
        raise Broken(f"{outcomes[LEFT]} of {len(batch)} messages have to come again")
    return dict(outcomes)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in Lambda's init phase, which has more CPU than a request
    bootstrap()
