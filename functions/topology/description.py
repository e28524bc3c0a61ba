"""What there has to be on the broker, as one description: the calls of the management API that declare it.

Limits, delays and dead-lettering are policies and not arguments of the queues, because a queue cannot be declared again
with other arguments, while a policy can change at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from urlshot.messages import DEAD, EXCHANGE, QUEUE, delay_queue, queue_of, start_key
from urlshot.secrets import Credentials

VHOST = quote("/", safe="")
MAX_LENGTH = 100_000
"""Messages that a work queue holds before it refuses more; `api` then answers 503."""

DELIVERY_LIMIT = 20
"""Deliveries after which the broker gives a message up by itself: a backstop behind the attempts in the record."""


@dataclass(frozen=True)
class Call:
    """One call of the management API; all are idempotent."""

    method: str
    path: str
    body: dict[str, Any]


def describe(
    shards: int, delays: tuple[int, ...], api: Credentials, dispatch: Credentials, watch: Credentials | None = None
) -> Iterator[Call]:
    """Everything, in an order in which no message can get lost: queues before the users that publish to them."""
    yield Call("PUT", f"/api/exchanges/{VHOST}/{EXCHANGE}", {"type": "direct", "durable": True})
    yield _queue(DEAD)
    work_queues = [queue_of(shard) for shard in range(shards)]
    # What a queue gives up after too many deliveries goes to the dead queue, by way of the default exchange.
    work = {
        "delivery-limit": DELIVERY_LIMIT,
        "max-length": MAX_LENGTH,
        **_dead_letter_to(DEAD),
    }
    yield _policy("urlshot-work", rf"^{QUEUE}(_\d+)?$", work)
    for shard, name in enumerate(work_queues):
        for seconds in delays:
            # The TTL is the queue's and not the messages': a long one at the head would hold up all behind it.
            delay = delay_queue(name, seconds)
            yield _policy(
                f"urlshot-{delay}", f"^{re.escape(delay)}$", {"message-ttl": seconds * 1000, **_dead_letter_to(name)}
            )
            yield _queue(delay)
        yield _queue(name)
        yield Call("POST", f"/api/bindings/{VHOST}/e/{EXCHANGE}/q/{name}", {"routing_key": start_key(shard)})
    yield from _user(api, write=f"^{EXCHANGE}$", read="^$")
    # amq.default is what permissions call the default exchange, which leads to the delay queues and the dead queue.
    yield from _user(dispatch, write=rf"^({EXCHANGE}|amq\.default)$", read=rf"^{QUEUE}(_\d+)?$")
    if watch is not None:
        # The tag opens the management API, a permission for nothing the vhost: numbers can be read, and no message.
        yield from _user(watch, write="^$", read="^$", tags="management")


def _queue(name: str) -> Call:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return Call("PUT", f"/api/queues/{VHOST}/{name}", body)


def _policy(name: str, pattern: str, definition: dict[str, Any]) -> Call:
    body = {"pattern": pattern, "apply-to": "queues", "definition": definition}
    return Call("PUT", f"/api/policies/{VHOST}/{name}", body)


def _dead_letter_to(queue: str) -> dict[str, Any]:
    """Dead-lettering that loses nothing: at-least-once needs `reject-publish` (RabbitMQ guide to quorum queues)."""
    return {
        "dead-letter-exchange": "",
        "dead-letter-routing-key": queue,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def _user(user: Credentials, *, write: str, read: str, tags: str = "") -> Iterator[Call]:
    name = quote(user.username, safe="")
    yield Call("PUT", f"/api/users/{name}", {"password": user.password, "tags": tags})
    yield Call("PUT", f"/api/permissions/{VHOST}/{name}", {"configure": "^$", "write": write, "read": read})
