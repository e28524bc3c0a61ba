"""Defines subscriptions: the callbacks and mails about the end of a job that requests ask for.

A subscription is one small object for one request and one address:

    sub/<job id>/<kind>-<hash of kind and address>-<time of the request, ms>-<nonce>.json

A request writes its subscription before it reads the job's record. The object is never changed, only deleted. These
rules make sure that every subscriber is notified, and only of what the request was about:

- A request that joins a job has read the record before the job's end was written. So its subscription existed by then,
  and the event of the end, which is sent later, finds it.
- A request that hits a PDF or a recent failure has nothing to wait for. Its event is put on the bus immediately and
  names the subscriptions that it is for (`Detail.subscriptions`). The event answers no other subscriptions, because
  they may wait for a newer render. An event that repeats a result for AMQP clients names none and answers none.
- The event of an end answers the subscriptions from before its announcement, by their `asked_at`. A request can read
  the record just before the end is written, however long that write takes, so the time of the end itself is too early.
  Until an end is noted as announced, no request starts a newer render. So a late or replayed event of an older
  generation does not answer a request for a newer render, unless two functions announce the end and one is slow.
- If an address asks several times about the same end, it is notified once. All its subscriptions have the same hash.
  The consumer deletes together those that it read and the end answers. A subscription that is written meanwhile has
  another key and stays.
- A refused request deletes its own subscription. An earlier one of the same address stays, because its request was
  accepted. This is why each request has its own object, and none is overwritten.
- If a process dies after it wrote a subscription and before its request was accepted, the subscription stays. If the
  job is made while the object is kept, the address is notified, although its request was never accepted.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from urlshot.core.events import Detail
from urlshot.core.records import CLOCKS

Kind = Literal["callback", "mail"]

_KEY = re.compile(
    r"sub/(?P<job_id>[0-9a-f]+)/(?P<kind>callback|mail)-(?P<hash>[0-9a-f]{32})-(?P<ms>[0-9]{13})-(?P<nonce>[0-9a-f]{16})\.json"
)


class Subscriber(BaseModel):
    """A callback URL or a mail address to notify; the content of a subscription, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    kind: Kind
    address: str
    """Canonical, as `urlshot.core.subscription_rules` returns it."""

    @property
    def hash(self) -> str:
        """The hash of kind and address, in hex; equal for all requests with this address."""
        return hashlib.sha256(f"{self.kind}\n{self.address}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Subscription:
    """One request's subscription of one address; its key contains all of these fields."""

    job_id: str
    kind: Kind
    hash: str
    asked_at: datetime
    nonce: str

    @classmethod
    def of(cls, job_id: str, subscriber: Subscriber, asked_at: datetime) -> Subscription:
        at = asked_at.replace(microsecond=asked_at.microsecond // 1000 * 1000)  # the precision of the key
        return cls(job_id, subscriber.kind, subscriber.hash, at, secrets.token_hex(8))

    @classmethod
    def parse(cls, key: str) -> Subscription | None:
        """Returns the subscription of a key; None if the key has another form."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        kind: Kind = "mail" if found["kind"] == "mail" else "callback"
        at = datetime.fromtimestamp(int(found["ms"]) / 1000, UTC)
        return cls(found["job_id"], kind, found["hash"], at, found["nonce"])

    @property
    def name(self) -> str:
        """The name of this subscription in `Detail.subscriptions`."""
        return f"{self.kind}-{self.hash}-{round(self.asked_at.timestamp() * 1000):013d}-{self.nonce}"

    @property
    def key(self) -> str:
        return f"{prefix(self.job_id)}{self.name}.json"


def prefix(job_id: str, kind: Kind | None = None, subscriber_hash: str = "") -> str:
    """Returns the prefix of the keys of a job's subscriptions: of all, of a kind, or of one subscriber."""
    return f"sub/{job_id}/" + (f"{kind}-{subscriber_hash}" if kind else "")


def serves(event: Detail, subscription: Subscription) -> bool:
    """Returns whether an event answers a subscription of the same job."""
    if event.cached:
        return subscription.name in event.subscriptions
    return subscription.asked_at <= (event.answers_until or event.finished_at) + CLOCKS
