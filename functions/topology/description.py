"""Describes the broker's exchange, queues, policies and users, as calls of the management API that declare them.

Limits, delays and dead-lettering are policies and not arguments of the queues, because a queue cannot be declared again
with other arguments, while a policy can change at any time.

Nothing is removed. If a delay is removed from RetryDelays, its queues stay, with the policies that return their
messages to the work queues, because messages may still wait in them. The same holds if the length of the lease changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from urlshot.adapters.secrets import Credentials
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import DEAD, EXCHANGE, QUEUES, RETURNED, START_KEYS, Delays, delay_queue

VHOST = quote("/", safe="")

DELIVERY_LIMIT = 20
"""The broker dead-letters a message after this many deliveries. Normally the attempts in the record end a job first."""

PRIORITY = 10
"""The priority of urlshot's policies. Only the policy with the highest priority applies to a queue. Amazon MQ has its
own policies for all queues, with priority 0 on a single instance and 1 on a cluster (Amazon MQ developer guide, "Broker
defaults")."""


API_SHARE, SETTLE_SHARE = 0.6, 0.2
"""The shares of the broker's connections that `api` and `settle` may hold. The rest is for Lambda's mappings,
`dispatch`, `watch` and AMQP clients, so many requests at once cannot keep the mappings from connecting."""


class Wanted(BaseModel):
    """Holds the properties of the custom resource; CloudFormation sends every value as a string."""

    model_config = ConfigDict(frozen=True)

    delays: Delays = Field(alias="RetryDelays")
    """Seconds, ascending."""
    render_timeout: int = Field(alias="RenderTimeout", gt=0, le=600)
    """The timeout of the function `render` in seconds, which determines the length of a lease."""
    limit: int = Field(alias="QueueLimit", ge=1)
    """The number of messages that a work queue holds; it refuses more, and `api` then answers 503."""
    connections: int = Field(alias="BrokerConnections", ge=10)
    """The number of connections that the broker allows."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Returns the seconds of each delay queue of a work queue, ascending: the retry delays and the lease."""
        return tuple(sorted({*self.delays, lease_seconds(self.render_timeout)}))


@dataclass(frozen=True)
class Users:
    """Holds the broker's users besides the administrator, one for each function that connects."""

    api: Credentials
    dispatch: Credentials
    settle: Credentials
    watch: Credentials


@dataclass(frozen=True)
class Call:
    """Describes one call of the management API; every call is idempotent."""

    method: str
    path: str
    body: dict[str, Any]


def describe(wanted: Wanted, users: Users) -> Iterator[Call]:
    """Yields the calls in an order in which no message can get lost.

    A policy comes before its queue, a queue before the routing key that leads to it, and all queues before the users
    that publish.
    """
    yield Call("PUT", f"/api/exchanges/{VHOST}/{EXCHANGE}", {"type": "direct", "durable": True})
    yield _queue(DEAD)
    yield _policy(RETURNED, {"delivery-limit": DELIVERY_LIMIT, **_dead_letter_to(DEAD)})
    yield _queue(RETURNED)
    for queue in QUEUES.values():
        for seconds in wanted.steps:
            delay = delay_queue(queue, seconds)
            # The TTL belongs to the queue and not to the message: a long TTL at the head would delay all others.
            yield _policy(delay, {"message-ttl": seconds * 1000, **_dead_letter_to(queue)})
            yield _queue(delay)
        limits = {"delivery-limit": DELIVERY_LIMIT, "max-length": wanted.limit}
        yield _policy(queue, {**limits, **_dead_letter_to(RETURNED)})
        yield _queue(queue)
    for priority, queue in QUEUES.items():
        path = f"/api/bindings/{VHOST}/e/{EXCHANGE}/q/{queue}"
        yield Call("POST", path, {"routing_key": START_KEYS[priority]})
    # Permissions call the default exchange amq.default. Messages to the delay queues and the dead queue go through it.
    publish = rf"^({EXCHANGE}|amq\.default)$"
    yield from _user(users.api, write=f"^{EXCHANGE}$", read="^$")
    yield _limit(users.api, wanted.connections, API_SHARE)
    yield from _user(users.dispatch, write=publish, read=f"^({'|'.join([*QUEUES.values(), RETURNED])})$")
    yield from _user(users.settle, write=publish, read="^$")
    yield _limit(users.settle, wanted.connections, SETTLE_SHARE)
    # The tag gives access to the management API. Without permissions the user can read counts there, but no message.
    yield from _user(users.watch, write="^$", read="^$", tags="management")


def _queue(name: str) -> Call:
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return Call("PUT", f"/api/queues/{VHOST}/{name}", body)


def _policy(queue: str, definition: dict[str, Any]) -> Call:
    body = {"pattern": f"^{re.escape(queue)}$", "apply-to": "queues", "priority": PRIORITY, "definition": definition}
    return Call("PUT", f"/api/policies/{VHOST}/urlshot-{queue}", body)


def _dead_letter_to(queue: str) -> dict[str, Any]:
    """Returns a policy for dead-lettering without loss: at-least-once needs `reject-publish`.

    Source: RabbitMQ guide to quorum queues.
    """
    return {
        "dead-letter-exchange": "",
        "dead-letter-routing-key": queue,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def _limit(user: Credentials, connections: int, share: float) -> Call:
    """Limits the connections of a user (RabbitMQ guide, "Per-user Resource Limits")."""
    path = f"/api/user-limits/{quote(user.username, safe='')}/max-connections"
    return Call("PUT", path, {"value": int(connections * share)})


def _user(user: Credentials, *, write: str, read: str, tags: str = "") -> Iterator[Call]:
    name = quote(user.username, safe="")
    yield Call("PUT", f"/api/users/{name}", {"password": user.password, "tags": tags})
    yield Call("PUT", f"/api/permissions/{VHOST}/{name}", {"configure": "^$", "write": write, "read": read})
