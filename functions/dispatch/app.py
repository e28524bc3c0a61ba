"""Lambda's entry point of `dispatch`: handles the messages of a batch in parallel."""

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
from urlshot.adapters.broker import Publisher
from urlshot.adapters.bus import Bus
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import read_credentials
from urlshot.adapters.slots import Free, Slots
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Broken, Rejected, UrlshotError
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import BareMessage, Delays, parse_message
from urlshot.core.records import Bounds
from urlshot.core.settings import EgressSettings
from urlshot.lifecycle.accept import Acceptor
from urlshot.lifecycle.announce import Announcer
from urlshot.lifecycle.parking import Parking

ALONE_SECONDS = 45.0
"""The time that the function must have left before it handles a redelivered message."""

LEFT = "left"
"""The outcome of a message that must not be acknowledged."""

log = logger()
metrics = Metrics()


class DispatchSettings(EgressSettings):
    """Holds the settings of `dispatch`; `render_timeout`, `max_age` and `max_job_age` are in seconds."""

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
    """Handles batches of messages in threads that live as long as the process."""

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
        """Handles the messages of one batch.

        Redelivered messages follow the others, one by one: if one of them made the last batch fail, it cannot do the
        same to others again.

        Args:
            batch: the messages.
            time_left: returns the seconds that the function has left.

        Returns:
            How each message was handled: first those that are delivered for the first time, then the redelivered ones.
        """
        pool = SlotPool(self._slots, time.monotonic() + WAIT_SECONDS, self._free)
        first_time = (delivery for delivery in batch if not delivery.redelivered)
        handled = list(self._threads.map(lambda delivery: self._handle_safely(delivery, pool), first_time))
        redelivered = (delivery for delivery in batch if delivery.redelivered)
        handled += [
            self._handle_safely(delivery, pool if time_left() > ALONE_SECONDS else None) for delivery in redelivered
        ]
        self._free = pool.left()
        return handled

    def _handle_safely(self, delivery: Delivery, pool: SlotPool | None) -> Handled:
        """Handles one message and raises nothing, so that an error does not affect other messages of the batch."""
        log.thread_safe_append_keys(correlation_id=delivery.correlation_id)
        try:
            return self._handle_one(delivery, pool)
        except UrlshotError as error:
            if delivery.returned and self._back_to_work(delivery, error):
                return Handled("postponed")
            log.exception("message: left in the queue", extra=error_fields(error))
        except Exception:
            log.exception("message: left in the queue")
        finally:
            log.thread_safe_clear_keys()
        return Handled(LEFT)

    def _back_to_work(self, delivery: Delivery, error: UrlshotError) -> bool:
        """Postpones a returned message that failed; from its work queue, the broker counts its deliveries from zero.

        Returns:
            Whether the broker took it.
        """
        try:
            self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)
        except UrlshotError:
            return False
        log.warning("message: back in its work queue", extra=error_fields(error))
        return True

    def _handle_one(self, delivery: Delivery, pool: SlotPool | None) -> Handled:
        """Handles one message, or postpones it if `pool` is None."""
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
            log.warning("message: refused", extra=error_fields(error))
            return Handled("dead")
        return self._hand_over.handle(message, delivery, pool)


def _given_up(delivery: Delivery) -> Rejected:
    """The error of a bare message that the broker gave up."""
    if delivery.returned == "expired":
        return Rejected("message_expired")
    return Rejected("internal", f"The broker gave the message up: {delivery.returned}.")


@cache
def bootstrap() -> Dispatcher:
    """Makes the dispatcher once per process."""
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
    bare = BareMessages(store, Acceptor(store, publisher), announcer, settings.egress, settings.max_age)
    return Dispatcher(slots, bare, hand_over, announcer, parking, settings.batch_size)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handles one batch and returns the number of messages for each outcome.

    Raises:
        Broken: some messages must not be acknowledged, because something failed before their jobs were safe, such as a
            write to storage, bus or broker. Lambda then returns the whole batch to the queue. The messages that were
            handled come again too, and `dispatch` finds in the records that their jobs are under way.
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
        raise Broken(f"{outcomes[LEFT]} of {len(batch)} messages must be delivered again")
    return dict(outcomes)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # Lambda's init phase has more CPU than an invocation
    bootstrap()
