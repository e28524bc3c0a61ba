"""The numbers of urlshot's queues, from the broker's management API."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

from urlshot.errors import Broken, Transient
from urlshot.messages import DEAD, QUEUES, RETURNED, delay_queue
from urlshot.secrets import Credentials

CALL_SECONDS = 10.0
_GONE = ("ack", "deliver_no_ack", "get_no_ack")
_COLUMNS = ",".join(["name", "messages_ready", "messages_unacknowledged", *(f"message_stats.{name}" for name in _GONE)])
_DELAY = re.compile(rf"({'|'.join(QUEUES.values())})_retry_[0-9]+s")

Kind = Literal["work", "returned", "retry", "parked", "dead", "other"]


@dataclass(frozen=True)
class Queue:
    """Messages of one queue: `ready` wait, `unacked` are with a consumer, and `gone` are those that consumers have
    acknowledged since the broker began to count."""

    name: str
    ready: int
    unacked: int
    gone: int


def kind(name: str, lease: int) -> Kind:
    """Says what a queue is for; `other` is not urlshot's.

    `lease` is the length of a lease in seconds: in a delay queue of that length (`parked`) wait the messages of jobs
    that were handed to `render`.
    """
    if name == DEAD:
        return "dead"
    if name == RETURNED:
        return "returned"
    if name in QUEUES.values():
        return "work"
    if name in {delay_queue(queue, lease) for queue in QUEUES.values()}:
        return "parked"
    return "retry" if _DELAY.fullmatch(name) else "other"


def read_queues(console: str, user: Credentials) -> list[Queue]:
    """Reads the queues of the default vhost.

    Raises:
        Transient: the broker does not answer. Broken: the broker refuses, or its answer is not understood.
    """
    token = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
        f"{console.rstrip('/')}/api/queues/%2F?columns={_COLUMNS}", headers={"Authorization": f"Basic {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
            return [_queue(one) for one in json.load(answer)]
    except urllib.error.HTTPError as error:
        reason = f"broker: queues of {user.username}: {error.code} {error.read(500).decode(errors='replace')}"
        if error.code >= 500:
            raise Transient("queue_unavailable", internal=reason) from error
        raise Broken(reason) from error
    except OSError as error:
        raise Transient("queue_unavailable", internal=f"broker: queues: {error!r}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"broker: queues: not understood: {error!r}") from error


def _queue(value: dict[str, Any]) -> Queue:
    """Reads one queue. The broker leaves out numbers that it has not counted yet, and sends a list if it has none."""
    stats = value.get("message_stats") or {}
    return Queue(
        name=value["name"],
        ready=int(value.get("messages_ready", 0)),
        unacked=int(value.get("messages_unacknowledged", 0)),
        gone=sum(int(stats.get(name, 0)) for name in _GONE),
    )
