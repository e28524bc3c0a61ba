"""Lambda's entry point of `callback`: handles the messages of an SQS batch in parallel, each by itself."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.callback.outbox import Outbox
from functions.callback.post import Sender
from functions.callback.work import Worker
from urlshot.adapters.claims import Claims
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import link_key, read_text
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.links import FileLinks
from urlshot.core.settings import OutgoingSettings
from urlshot.core.webhooks import WebhookKeys

SIDE_BY_SIDE = 10
"""The number of messages that are handled in parallel; equals the batch size of the mapping."""


class CallbackSettings(OutgoingSettings):
    """Holds the settings of `callback`.

    `LINK_SECRET` is empty if the endpoint requires no API keys. `SYMMETRIC_WEBHOOK_SECRET` names a secret for receivers
    that verify only symmetric signatures; if it is empty, all signatures are asymmetric. `LOCAL_CA` is a file of
    certificate authorities that the local stack trusts besides the system's.
    """

    bucket: str
    callback_queue: str
    webhook_secret: str
    symmetric_webhook_secret: str = ""
    link_secret: str = ""
    local_ca: str = Field(default="")


@cache
def bootstrap() -> tuple[Worker, ThreadPoolExecutor]:
    """Makes the worker and its threads once per process."""
    settings = CallbackSettings.read(os.environ)
    s3 = s3_client(pool=SIDE_BY_SIDE)
    tls = ssl.create_default_context()
    if settings.local_ca:
        tls.load_verify_locations(settings.local_ca)
    worker = Worker(
        subscriptions=SubscriptionStore(settings.bucket, s3),
        claims=Claims(settings.bucket, s3),
        outbox=Outbox(settings.callback_queue),
        sender=Sender(settings.egress, tls),
        keys=WebhookKeys(lambda: read_text(settings.webhook_secret), _symmetric(settings.symmetric_webhook_secret)),
        links=FileLinks(link_key(settings.link_secret)),
        public_url=settings.public_url,
    )
    return worker, ThreadPoolExecutor(max_workers=SIDE_BY_SIDE)


def _symmetric(arn: str) -> Callable[[], str] | None:
    return (lambda: read_text(arn)) if arn else None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handles one batch and returns which messages must come again; Lambda deletes the others from the queue."""
    worker, threads = bootstrap()
    records = event["Records"]
    handled = threads.map(partial(worker.settle, context=context), records)
    left = [record["messageId"] for record, done in zip(records, handled, strict=True) if not done]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in left]}
