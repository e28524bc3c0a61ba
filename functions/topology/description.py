"""What there has to be on the broker, as one description: the calls of the management API that declare it.

Limits, delays and dead-lettering are policies and not arguments of the queues, because a queue cannot be declared again
with other arguments, while a policy can change at any time.

A shard is a key, a work queue, its delay queues, and a mapping that consumes the work queue. When there are to be fewer
of them, others still go by the old number: `api`, until CloudFormation comes to it, and `dispatch`, which puts a retry
into a delay queue of the queue that the message came from. And messages wait. So nothing is taken away. Every key that
any number of shards could use is bound at all times, to the queue that serves it now; a work queue of which there is no
need any more stays, with its delay queues, and whatever leaves them unserved goes to its successor (see declare.py).
More shards again find their queues where they were.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from urlshot.messages import DEAD, EXCHANGE, MAX_SHARDS, QUEUE, Delays, delay_of, delay_queue, queue_of, start_key
from urlshot.secrets import Credentials

VHOST = quote("/", safe="")

DELIVERY_LIMIT = 20
"""Deliveries after which the broker gives a message up by itself: a backstop behind the attempts in the record."""

PRIORITY = 10
"""Only one policy applies to a queue, that of the highest priority. Amazon MQ has policies of its own for all queues,
with 0 on a single instance and 1 on a cluster (Amazon MQ developer guide, "Broker defaults")."""


class Wanted(BaseModel):
    """The custom resource's properties; CloudFormation sends every value as a string."""

    model_config = ConfigDict(frozen=True)

    shards: int = Field(alias="Shards", ge=1, le=MAX_SHARDS)
    delays: Delays = Field(alias="RetryDelays")
    """Seconds, ascending."""
    limit: int = Field(alias="QueueLimit", ge=1)
    """Messages that a work queue holds before it refuses more; `api` then answers 503."""


@dataclass(frozen=True)
class Users:
    """Who else than the administrator there is: `api` may only publish, `watch` only look."""

    api: Credentials
    dispatch: Credentials
    watch: Credentials


@dataclass(frozen=True)
class Call:
    """One call of the management API; all are idempotent."""

    method: str
    path: str
    body: dict[str, Any] | None = None


def successors(shards: int, there: Collection[str]) -> dict[str, str]:
    """The work queues that are there without need, and who takes over from each."""
    spare = {queue_of(shard): queue_of(shard % shards) for shard in range(shards, MAX_SHARDS)}
    return {queue: successor for queue, successor in spare.items() if queue in there}


def describe(wanted: Wanted, there: Collection[str], users: Users) -> Iterator[Call]:
    """Everything, `there` being the names of the queues that exist already.

    In an order in which no message can get lost: a policy before its queue, a queue before the key that leads to it,
    and all of them before the users that publish.
    """
    yield Call("PUT", f"/api/exchanges/{VHOST}/{EXCHANGE}", {"type": "direct", "durable": True})
    yield _queue(DEAD)
    for shard in range(wanted.shards):
        queue = queue_of(shard)
        yield from _delays(queue, queue, wanted.delays)
        # What a queue gives up after too many deliveries goes to the dead queue, by way of the default exchange.
        limits = {"delivery-limit": DELIVERY_LIMIT, "max-length": wanted.limit}
        yield _policy(queue, {**limits, **_dead_letter_to(DEAD)})
        yield _queue(queue)
    for queue, successor in successors(wanted.shards, there).items():
        found = (delay_of(name) for name in there)
        older = {seconds for of, seconds in filter(None, found) if of == queue}
        yield from _delays(queue, successor, sorted(older.union(wanted.delays)))
        yield _policy(queue, _dead_letter_to(successor))
    for shard in range(MAX_SHARDS):
        yield _binding(shard, wanted.shards)
    yield from _user(users.api, write=f"^{EXCHANGE}$", read="^$")
    # amq.default is what permissions call the default exchange, which leads to the delay queues and the dead queue.
    yield from _user(users.dispatch, write=rf"^({EXCHANGE}|amq\.default)$", read=rf"^{QUEUE}(_\d+)?$")
    # The tag opens the management API, a permission for nothing the vhost: numbers can be read, and no message.
    yield from _user(users.watch, write="^$", read="^$", tags="management")


def outdated(shards: int, bindings: Iterable[dict[str, Any]]) -> Iterator[Call]:
    """Takes away which of the exchange's bindings led our keys to other queues of ours.

    To be done after `describe`, so that a key leads to two queues for a moment, and never to none: a message that is
    there twice is rendered once, because its generation and lease say so. Queues that are not ours keep their bindings.
    """
    ours = {queue_of(shard) for shard in range(MAX_SHARDS)}
    right = {start_key(shard): queue_of(shard % shards) for shard in range(MAX_SHARDS)}
    for binding in bindings:
        key, queue = binding["routing_key"], binding["destination"]
        if binding["destination_type"] == "queue" and queue in ours and right.get(key, queue) != queue:
            name = quote(binding["properties_key"], safe="")
            yield Call("DELETE", f"/api/bindings/{VHOST}/e/{EXCHANGE}/q/{queue}/{name}")


def _delays(queue: str, back_to: str, delays: Iterable[int]) -> Iterator[Call]:
    for seconds in delays:
        name = delay_queue(queue, seconds)
        # The TTL is the queue's and not the messages': a long one at the head would hold up all behind it.
        yield _policy(name, {"message-ttl": seconds * 1000, **_dead_letter_to(back_to)})
        yield _queue(name)


def _queue(name: str) -> Call:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return Call("PUT", f"/api/queues/{VHOST}/{name}", body)


def _policy(queue: str, definition: dict[str, Any]) -> Call:
    body = {"pattern": f"^{re.escape(queue)}$", "apply-to": "queues", "priority": PRIORITY, "definition": definition}
    return Call("PUT", f"/api/policies/{VHOST}/urlshot-{queue}", body)


def _binding(shard: int, shards: int) -> Call:
    path = f"/api/bindings/{VHOST}/e/{EXCHANGE}/q/{queue_of(shard % shards)}"
    return Call("POST", path, {"routing_key": start_key(shard)})


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
