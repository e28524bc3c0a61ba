"""The batch as Lambda's event source mapping delivers it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from urlshot.core.messages import QUEUE, QUEUE_BULK, QUEUES, RETURNED, Priority

UNKNOWN = "unknown"
"""The reason for which the broker gave a message up, where its headers do not say it."""


@dataclass(frozen=True)
class Delivery:
    """One message.

    queue            its work queue
    redelivered      whether the broker delivered it before
    correlation_id   the name of its request
    returned         why the broker gave it up, as RabbitMQ calls it: `expired`, `delivery_limit`; empty if it did not
    """

    queue: str
    body: bytes
    redelivered: bool
    correlation_id: str = ""
    returned: str = ""

    @property
    def priority(self) -> Priority:
        """The priority that its queue stands for."""
        return "bulk" if self.queue == QUEUE_BULK else "normal"


def deliveries(event: dict[str, Any]) -> list[Delivery]:
    """Reads the event of an Amazon MQ for RabbitMQ mapping (Lambda developer guide, "Using Lambda with Amazon MQ")."""
    found = []
    for source, messages in event["rmqMessagesByQueue"].items():
        queue = source.split("::", 1)[0]
        found += [_delivery(queue, one) for one in messages]
    return found


def _delivery(queue: str, message: dict[str, Any]) -> Delivery:
    properties = message.get("basicProperties") or {}
    returned = ""
    if queue == RETURNED:
        queue, returned = _death(properties.get("headers") or {})
    return Delivery(
        queue,
        base64.b64decode(message["data"]),
        bool(message.get("redelivered", False)),
        _short(str(properties.get("correlationId") or "")),
        returned,
    )


def _short(text: str) -> str:
    """Returns as much of a text as fits into the 255 bytes of a short string (AMQP 0-9-1, section 4.2.5.3)."""
    return text.encode(errors="replace")[:255].decode(errors="ignore")


def _death(headers: dict[str, Any]) -> tuple[str, str]:
    """Returns the work queue that a message was given up in, and the reason.

    `x-death` has an entry for each queue that the message left so, delay queues among them (RabbitMQ guide to dead
    letter exchanges).
    """
    deaths = headers.get("x-death")
    for death in deaths if isinstance(deaths, list) else []:
        if isinstance(death, dict) and (queue := _text(death.get("queue"))) in QUEUES.values():
            return queue, _text(death.get("reason")) or UNKNOWN
    return QUEUE, UNKNOWN


def _text(value: Any) -> str:
    """Reads a header's text, which Lambda delivers as the numbers of its bytes. Any other value is an empty text."""
    if isinstance(value, str):
        return value
    numbers = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(numbers, list):  # `bytes` of a number would be as many zeros
        return ""
    try:
        return bytes(numbers).decode()
    except (TypeError, ValueError, OverflowError):
        return ""
