"""Reads the message counts of urlshot's queues from the broker's management API."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

from urlshot.adapters.secrets import Credentials
from urlshot.core.errors import Broken, Transient
from urlshot.core.messages import DEAD, QUEUES, RETURNED, delay_queue

CALL_SECONDS = 10.0
_GONE = ("ack", "deliver_no_ack", "get_no_ack")
_COLUMNS = ",".join(["name", "messages_ready", "messages_unacknowledged", *(f"message_stats.{name}" for name in _GONE)])
_DELAY = re.compile(rf"({'|'.join(QUEUES.values())})_retry_[0-9]+s")

Kind = Literal["work", "returned", "retry", "parked", "dead", "other"]


@dataclass(frozen=True)
class Queue:
    """Holds the message counts of one queue.

    `ready` messages wait, and `unacked` ones are with a consumer. `gone` counts the messages that consumers have
    finished since the broker began to count.
    """

    name: str
    ready: int
    unacked: int
    gone: int


def kind(name: str, lease: int) -> Kind:
    """Returns the kind of a queue; `other` is a queue that is not urlshot's.

    Args:
        name: the name of the queue.
        lease: the length of a claim's lease in seconds. The delay queues of that length hold the messages of jobs that
            were handed to `render` (`parked`).
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
        Transient: the broker does not answer, or fails.
        Broken: the broker refuses, or its answer has another form than expected.
    """
    token = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
        f"{console.rstrip('/')}/api/queues/%2F?columns={_COLUMNS}", headers={"Authorization": f"Basic {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
            return [_queue(value) for value in json.load(answer)]
    except urllib.error.HTTPError as error:
        reason = f"broker: queues of {user.username}: {error.code} {error.read(500).decode(errors='replace')}"
        if error.code >= 500:
            raise Transient("queue_unavailable", internal=reason) from error
        raise Broken(reason) from error
    except OSError as error:
        raise Transient("queue_unavailable", internal=f"broker: queues: {error!r}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"broker: queues: unexpected answer: {error!r}") from error


def _queue(value: dict[str, Any]) -> Queue:
    """Reads the counts of one queue.

    The broker omits counts that it has not begun. `message_stats` is a list if it has none at all.
    """
    stats = value.get("message_stats") or {}
    return Queue(
        name=value["name"],
        ready=int(value.get("messages_ready", 0)),
        unacked=int(value.get("messages_unacknowledged", 0)),
        gone=sum(int(stats.get(name, 0)) for name in _GONE),
    )
