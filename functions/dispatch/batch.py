"""Reads a batch as Lambda's event source mapping delivers it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from urlshot.messages import QUEUE_BULK, Priority


@dataclass(frozen=True)
class Delivery:
    """Holds one delivered message: its queue and body, whether it was delivered before, and its correlation id."""

    queue: str
    body: bytes
    redelivered: bool
    correlation_id: str = ""

    @property
    def priority(self) -> Priority:
        """Returns the priority of the jobs in the message's queue."""
        return "bulk" if self.queue == QUEUE_BULK else "normal"


def deliveries(event: dict[str, Any]) -> list[Delivery]:
    """Reads the event of an Amazon MQ for RabbitMQ mapping (Lambda developer guide, "Using Lambda with Amazon MQ")."""
    found = []
    for source, messages in event["rmqMessagesByQueue"].items():
        queue = source.split("::", 1)[0]
        found += [
            Delivery(
                queue,
                base64.b64decode(message["data"]),
                bool(message.get("redelivered", False)),
                str((message.get("basicProperties") or {}).get("correlationId") or "")[:255],
            )
            for message in messages
        ]
    return found
