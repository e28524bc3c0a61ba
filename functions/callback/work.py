"""Handles one message of the callback queue.

An EventBridge rule puts each event into the queue. For each subscriber of that event the function puts a `Delivery`
into the same queue. So each subscriber has its own attempts, delays and dead letter, and no schedule is needed: if a
POST fails, its message is hidden for longer each time, and in the end SQS moves it to the dead-letter queue. There it
still holds the subscriber and the event, and an operator can move it back unchanged.

A message may come twice, an event may come twice, and two events may answer one subscription. So a delivery goes
through `Claims`, and deletes the subscriptions that are answered. If none is left, because the job was deleted or
another delivery was faster, nothing is posted.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

import ada_url
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from functions.callback.completion import completion, webhook_id
from functions.callback.outbox import Delivery, Outbox
from functions.callback.post import Sender, Undelivered
from urlshot.adapters.claims import Busy, Claims
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.errors import UrlshotError
from urlshot.core.events import Detail
from urlshot.core.links import FileLinks
from urlshot.core.webhooks import WebhookKeys

log = logger()

DELAYS = (5, 60, 300, 1800, 7200, 18_000, 36_000)
"""Seconds before each repetition, ± 10 %: eight attempts within about 17.5 hours."""

GONE = 410
"""The status with which a server ends the subscription (Standard Webhooks, "Delivery success and failure")."""


@dataclass(frozen=True)
class Event:
    """Holds the part that is read of a message from EventBridge."""

    detail: Detail


_MESSAGE: TypeAdapter[Event | Delivery] = TypeAdapter(Event | Delivery)


class Worker:
    """Handles messages; is safe to share between threads."""

    def __init__(
        self,
        subscriptions: SubscriptionStore,
        claims: Claims,
        outbox: Outbox,
        sender: Sender,
        keys: WebhookKeys,
        links: FileLinks,
        public_url: str,
    ) -> None:
        self._subscriptions = subscriptions
        self._claims = claims
        self._outbox = outbox
        self._sender = sender
        self._keys = keys
        self._links = links
        self._public_url = public_url

    def settle(self, record: dict[str, Any], context: LambdaContext) -> bool:
        """Handles one message of an SQS event; returns False if the message must come again after its delay."""
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        try:
            message = _MESSAGE.validate_json(record["body"])
            if isinstance(message, Event):
                self._queue_deliveries(message.detail)
            else:
                self._deliver(message, attempt, context)
        except Undelivered:  # already logged, with the subscriber's host
            pass
        except UrlshotError as error:
            log.exception("callback: message left in the queue", extra=error_fields(error))
        except Exception:
            log.exception("callback: message left in the queue")
        else:
            return True
        try:
            self._outbox.hide(record["receiptHandle"], _delay(attempt))
        except UrlshotError as error:  # the message comes again after the queue's visibility timeout
            log.exception("callback: message not hidden", extra=error_fields(error))
        return False

    def _queue_deliveries(self, event: Detail) -> None:
        """Queues one delivery for each subscriber of an event."""
        for waiting in self._subscriptions.waiting(event, "callback"):
            self._outbox.put(Delivery(subscriber=waiting.subscriber, event=event))
            log.info("callback: queued", extra=_fields(event, waiting.subscriber.address))

    def _deliver(self, delivery: Delivery, attempt: int, context: LambdaContext) -> None:
        """Posts to one subscriber unless that was done before.

        Raises:
            Undelivered: the post failed, or another delivery of the same callback is in progress.
        """
        event, subscriber = delivery.event, delivery.subscriber
        fields = {**_fields(event, subscriber.address), "attempt": attempt}
        left = self._subscriptions.still_waiting(event, subscriber)
        if not left:
            log.info("callback: no subscription left", extra=fields)
            return
        seconds = context.get_remaining_time_in_millis() / 1000
        names = [one.name for one in left]
        try:
            once = self._claims.once(
                f"callback/{subscriber.hash}", event.event_key, names, seconds, lambda: self._post(delivery)
            )
        except Busy as error:
            log.info("callback: another delivery is in progress", extra=fields)
            raise Undelivered("another delivery is in progress") from error
        except Undelivered as error:
            last = attempt > len(DELAYS)
            outcome = "given up" if last else "will be retried"
            (log.error if last else log.warning)(f"callback: {outcome}", extra={**fields, "reason": str(error)})
            raise
        if once.ambiguous:
            log.warning("callback: ambiguous, may have been delivered before", extra=fields)
        self._subscriptions.delete(one for one in left if one.name in once.answered)
        outcome = {None: "was delivered before", GONE: "ended by 410"}.get(once.result, "delivered")
        log.info(f"callback: {outcome}", extra={**fields, "status": once.result})

    def _post(self, delivery: Delivery) -> int:
        """Posts, and returns the status of the answer: 2xx or 410.

        Raises:
            Undelivered: No answer came, or one with another status.
        """
        message_id = webhook_id(delivery.event, delivery.subscriber.hash)
        body = completion(delivery.event, self._public_url, self._links)
        now = int(time.time())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": self._keys.sign(message_id, now, body),
        }
        status = asyncio.run(self._sender.post(delivery.subscriber.address, headers, body))
        if not 200 <= status < 300 and status != GONE:
            raise Undelivered(f"the server answered {status}")
        return status


def _delay(attempt: int) -> int:
    """Returns the seconds until a failed message comes again; 0 after the last attempt: SQS then moves it away."""
    if attempt > len(DELAYS):
        return 0
    return round(DELAYS[attempt - 1] * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the load, guards nothing


def _fields(event: Detail, address: str) -> dict[str, Any]:
    """Returns the fields of a log line; of the address only the host, because the rest may contain secrets."""
    return {"job_id": event.id, "event_key": event.event_key, "host": ada_url.URL(address).host}
