"""Who wants to be told how a job ended: the callbacks and mails that requests ask for.

A subscription is one small object for one request and one address:

    sub/<job id>/<kind>-<hash of kind and address>-<when it was asked for, ms>-<nonce>.json

It is written before the request reads the job's record, and is never changed, only deleted. Why nobody is forgotten,
and nobody is told of something else than what he asked for:

- A request that joins a job read its record before the job's end was written. So its subscription was there by then,
  and the event of that end, which is sent afterwards, finds it.
- A request that hits, or meets a recent failure, has nothing to wait for: its event is put on the bus at once, and
  names the subscriptions that it is for (`Detail.subscriptions`). Such an event serves no others, because those who
  wait may wait for a newer render; and an event that repeats something for AMQP clients names none, and serves none.
- An end serves those who asked before it, by their `asked_at`. So an event of an older generation that is late, or is
  replayed, does not answer a request for a newer render. A request can read a record that is just about to end, and be
  stamped later than the end: hence `TOLERANCE`.
- The same address, asking any number of times for what ends once, is told once: it has one hash, and all of its
  subscriptions that the end serves are deleted together, those that were read and no others. One that is written
  meanwhile has a key of its own, and so survives.
- A request that is refused takes back its own subscription. An earlier one of the same address stays, because its
  request was accepted; that is why each request has an object of its own, and none is written over.
- A process that dies between writing and being accepted leaves a subscription that nobody heard of. Should the job be
  made within the days that such objects are kept, that address is told of it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from urlshot.events import Detail

TOLERANCE = timedelta(seconds=30)
"""How much later than an end a request may be stamped that the end still serves.

More than the longest write of a record, all attempts of the SDK together, and what two clocks may differ by. In return,
who asks for a newer render within these seconds, and before the older one's event was handled, is told of the older.
"""

Kind = Literal["callback", "mail"]

_KEY = re.compile(
    r"sub/(?P<job_id>[0-9a-f]+)/(?P<kind>callback|mail)-(?P<hash>[0-9a-f]{32})-(?P<ms>[0-9]{13})-(?P<nonce>[0-9a-f]{16})\.json"
)


class Subscriber(BaseModel):
    """Whom to tell, and by what; the content of a subscription, version 1.

    `address` is canonical, as `urlshot.recipients` gives it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    kind: Kind
    address: str

    @property
    def hash(self) -> str:
        """The same for everyone who names this address, in hex."""
        return hashlib.sha256(f"{self.kind}\n{self.address}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Subscription:
    """One request's wish to have one address told; all of it stands in the object's key."""

    job_id: str
    kind: Kind
    hash: str
    asked_at: datetime
    nonce: str

    @classmethod
    def of(cls, job_id: str, subscriber: Subscriber, asked_at: datetime) -> Subscription:
        at = asked_at.replace(microsecond=asked_at.microsecond // 1000 * 1000)  # as precise as the key
        return cls(job_id, subscriber.kind, subscriber.hash, at, secrets.token_hex(8))

    @classmethod
    def parse(cls, key: str) -> Subscription | None:
        """The subscription that a key spells; None if it is none of ours."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        kind: Kind = "mail" if found["kind"] == "mail" else "callback"
        at = datetime.fromtimestamp(int(found["ms"]) / 1000, UTC)
        return cls(found["job_id"], kind, found["hash"], at, found["nonce"])

    @property
    def name(self) -> str:
        """What an event that is for this subscription calls it."""
        return f"{self.kind}-{self.hash}-{round(self.asked_at.timestamp() * 1000):013d}-{self.nonce}"

    @property
    def key(self) -> str:
        return f"{prefix(self.job_id)}{self.name}.json"


def prefix(job_id: str, kind: Kind | None = None, subscriber_hash: str = "") -> str:
    """How the keys of a job's subscriptions begin: all, those of a kind, or those of one subscriber."""
    return f"sub/{job_id}/" + (f"{kind}-{subscriber_hash}" if kind else "")


def serves(event: Detail, subscription: Subscription) -> bool:
    """Whether this event is the answer to that subscription, which is of the same job."""
    if event.cached:
        return subscription.name in event.subscriptions
    return subscription.asked_at <= event.finished_at + TOLERANCE
