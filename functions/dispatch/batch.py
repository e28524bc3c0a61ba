"""The batch as Lambda's event source mapping delivers it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """One message: from which queue, its body, whether the broker had delivered it before, and whose request it is."""

    queue: str
    body: bytes
    redelivered: bool
    correlation_id: str = ""


def deliveries(event: dict[str, Any]) -> list[Delivery]:
    """Reads the event of an Amazon MQ for RabbitMQ mapping (Lambda developer guide, "Using Lambda with Amazon MQ")."""
    found = []
    for source, messages in event["rmqMessagesByQueue"].items():
        queue = source.split("::", 1)[0]
        found += [
            Delivery(
                queue,
                base64.b64decode(one["data"]),
                bool(one.get("redelivered", False)),
                (one.get("basicProperties") or {}).get("correlationId") or "",
            )
            for one in messages
        ]
    return found
