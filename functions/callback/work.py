"""What becomes of one message of the callbacks' queue.

The rule puts each event into the queue, and the function makes of it one message for each subscriber, in the same
queue: a `Delivery`. So each subscriber has attempts, waits and a dead letter of his own, without a schedule of ours:
a message whose POST failed is hidden for longer each time, and SQS itself moves it to the dead-letter queue, where it
says whom it is for and what he was to be told. From there it can be moved back as it is.

A message may come twice, an event may come twice, and two events may answer one subscription. So a delivery claims the
callback's id and then its earliest subscription, and an answered subscription is deleted: where none is left, because
the job was deleted or another delivery was quicker, nothing is posted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ada_url
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from functions.callback.completion import completion, webhook_id
from functions.callback.outbox import Delivery, Outbox
from functions.callback.post import Sender, Undelivered
from urlshot.claims import S3Claims
from urlshot.errors import UrlshotError
from urlshot.events import Detail
from urlshot.links import FileLinks
from urlshot.logs import error_fields, logger
from urlshot.subscribers import Subscribers
from urlshot.subscriptions import Subscription
from urlshot.webhooks import WebhookKeys

log = logger()

DELAYS = (5, 60, 300, 1800, 7200, 18_000, 36_000)
"""Seconds before each further attempt, give or take a tenth: eight attempts in 17 hours and a half."""

KEPT_SECONDS = 6 * 86_400
"""How long a callback is remembered as done; longer than its event or message is likely to be repeated."""

GONE = 410
"""By which a server ends the subscription (Standard Webhooks, "Delivery success and failure")."""


@dataclass(frozen=True)
class Event:
    """What EventBridge puts into the queue."""

    detail: Detail


_MESSAGE: TypeAdapter[Event | Delivery] = TypeAdapter(Event | Delivery)


class Worker:
    """Handles messages; safe to share between threads. `claims` makes claims of one callback's own."""

    def __init__(
        self,
        subscribers: Subscribers,
        claims: Callable[[], S3Claims],
        outbox: Outbox,
        sender: Sender,
        keys: WebhookKeys,
        links: FileLinks,
        public_url: str,
    ) -> None:
        self._subscribers = subscribers
        self._claims = claims
        self._outbox = outbox
        self._sender = sender
        self._keys = keys
        self._links = links
        self._public_url = public_url

    def settle(self, record: dict[str, Any], context: LambdaContext) -> bool:
        """Handles one message of an SQS event; False if it has to come again, and then it says when."""
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        try:
            message = _MESSAGE.validate_json(record["body"])
            if isinstance(message, Event):
                self._spread(message.detail)
            else:
                self._deliver(message, attempt, context)
        except Undelivered:  # logged where it is known whose it is
            pass
        except UrlshotError as error:
            log.exception("callback: message left in the queue", extra=error_fields(error))
        except Exception:
            log.exception("callback: message left in the queue")
        else:
            return True
        try:
            self._outbox.hide(record["receiptHandle"], _delay(attempt))
        except UrlshotError as error:  # it comes again after the queue's own time
            log.exception("callback: message not put off", extra=error_fields(error))
        return False

    def _spread(self, event: Detail) -> None:
        """Makes of an event a message for each who asked."""
        for waiting in self._subscribers.waiting(event, "callback"):
            self._outbox.put(Delivery(subscriber=waiting.subscriber, event=event))
            log.info("callback: queued", extra=_fields(event, waiting.subscriber.address))

    def _deliver(self, delivery: Delivery, attempt: int, context: LambdaContext) -> None:
        """Posts to one subscriber, unless that was done."""
        event, subscriber = delivery.event, delivery.subscriber
        fields = {**_fields(event, subscriber.address), "attempt": attempt}
        left = self._subscribers.still_waiting(event, subscriber)
        if not left:
            log.info("callback: nobody waits", extra=fields)
            return
        claims = self._claims()

        def post_unless_answered(*, key: dict[str, str], **more: Any) -> dict[str, Any]:
            """The event of a hit right after the end, and that of the end, can answer the same subscription."""
            once = _once(self._post, claims, context)
            return once(key={"id": left[0].name}, message_id=key["id"], **more)

        once = _once(post_unless_answered, claims, context)
        try:
            done = once(key={"id": webhook_id(event, subscriber.hash)}, delivery=delivery, left=left)
        except IdempotencyAlreadyInProgressError as error:
            log.info("callback: another delivery is at it", extra=fields)
            raise Undelivered("another delivery is at it") from error
        except Undelivered as error:
            last = attempt > len(DELAYS)
            words = "given up" if last else "to be tried again"
            (log.error if last else log.warning)(f"callback: {words}", extra={**fields, "reason": str(error)})
            raise
        if claims.ambiguous:
            log.warning("callback: ambiguous, may have been delivered before", extra=fields)
        self._subscribers.delete(one for one in left if one.name in done["answered"])
        words = "ended by 410" if done["status"] == GONE else "delivered"
        log.info(f"callback: {words}", extra={**fields, "status": done["status"]})

    def _post(
        self,
        *,
        key: dict[str, str],  # noqa: ARG002 - powertools reads it
        message_id: str,
        delivery: Delivery,
        left: list[Subscription],
    ) -> dict[str, Any]:
        """Posts, and returns the status and the names of the subscriptions that the post answers.

        The claim keeps both. A repetition deletes these subscriptions only: later ones may be for another render.
        """
        body = completion(delivery.event, self._public_url, self._links)
        now = int(time.time())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": self._keys.sign(message_id, now, body),
        }
        status = asyncio.run(self._sender.post(delivery.subscriber.address, headers, body))
        if not 200 <= status < 300 and status != GONE:
            raise Undelivered(f"answered {status}")
        return {"status": status, "answered": [one.name for one in left]}


def _once(
    function: Callable[..., dict[str, Any]], claims: S3Claims, context: LambdaContext
) -> Callable[..., dict[str, Any]]:
    """Returns `function`, made to run once for each `key` that it gets."""
    config = IdempotencyConfig(
        event_key_jmespath="id", raise_on_no_idempotency_key=True, expires_after_seconds=KEPT_SECONDS
    )
    config.register_lambda_context(context)
    once: Callable[..., dict[str, Any]] = idempotent_function(
        function, data_keyword_argument="key", config=config, persistence_store=claims, key_prefix="callback"
    )
    return once


def _delay(attempt: int) -> int:
    """Seconds until a message that failed comes again; after its last attempt none, as SQS then puts it aside."""
    if attempt > len(DELAYS):
        return 0
    return round(DELAYS[attempt - 1] * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the load, guards nothing


def _fields(event: Detail, address: str) -> dict[str, Any]:
    """What a log line says; of the address only the host, because the rest may hold secrets."""
    return {"job_id": event.id, "event_key": event.event_key, "host": ada_url.URL(address).host}
