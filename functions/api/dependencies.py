"""Makes the objects that the calls use, once per process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from pydantic import Field

from functions.api.answers import Answers
from functions.api.requests import Rules
from functions.api.waiting import SLOT_LEASE, Waiting
from urlshot.adapters.broker import Publisher
from urlshot.adapters.bus import Bus
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import link_key, read_credentials, read_text, secrets_client
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Store
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.links import FileLinks
from urlshot.core.records import Record
from urlshot.core.settings import EgressSettings
from urlshot.core.subscription_rules import CallbackHosts, NotifyAllow
from urlshot.core.webhooks import WebhookKeys
from urlshot.lifecycle.accept import Acceptor


class ApiSettings(EgressSettings):
    """Holds the settings of `api`.

    A PDF of up to `max_age` seconds answers a request that names no age. A PDF is kept for `pdf_days`. A signed link is
    valid for `link_seconds`. At most `max_waiting` requests wait at the same time.
    """

    bucket: str
    broker_url: str
    broker_secret: str
    bus: str
    max_age: int = Field(ge=1)
    pdf_days: int = Field(ge=1)
    link_seconds: int = Field(ge=60, le=3600)
    max_waiting: int = Field(ge=0, le=1000)
    require_api_key: bool
    cors_origin: str = ""
    callback_hosts: CallbackHosts = frozenset()
    notify_allow: NotifyAllow = frozenset()
    link_secret: str = ""
    webhook_secret: str


@dataclass(frozen=True)
class Dependencies:
    """Holds the objects that the calls use."""

    settings: ApiSettings
    store: Store
    publisher: Publisher
    acceptor: Acceptor
    waiting: Waiting
    answers: Answers
    rules: Rules
    subscriptions: SubscriptionStore
    links: FileLinks
    webhook_keys: WebhookKeys
    bus: Bus


@cache
def bootstrap() -> Dependencies:
    """Makes the objects once per process.

    It also does work that the first request would do otherwise, because Lambda's init phase has a whole CPU. It
    resolves the bucket's endpoint, makes the client of Secrets Manager, and builds the model of the records. It opens
    no connection.
    """
    settings = ApiSettings.read(os.environ)
    s3 = s3_client()
    store = Store(settings.bucket, s3)
    publisher = Publisher(settings.broker_url, lambda: read_credentials(settings.broker_secret))
    links = FileLinks(link_key(settings.link_secret))
    store.link_origin()
    secrets_client()
    Record.model_rebuild()
    return Dependencies(
        settings=settings,
        store=store,
        publisher=publisher,
        acceptor=Acceptor(store, publisher),
        waiting=Waiting(store, Slots(settings.bucket, s3, "wait", settings.max_waiting, SLOT_LEASE)),
        answers=Answers(store, links, settings.link_seconds, settings.pdf_days),
        rules=Rules(settings.egress, settings.max_age, settings.callback_hosts, settings.notify_allow),
        subscriptions=SubscriptionStore(settings.bucket, s3),
        links=links,
        webhook_keys=WebhookKeys(lambda: read_text(settings.webhook_secret)),
        bus=Bus(settings.bus),
    )
