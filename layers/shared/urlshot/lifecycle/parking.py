"""Parks messages in delay queues, and buries messages that cannot succeed in the dead queue.

Each work queue has one delay queue for each retry delay and one for the lease. All messages of a delay queue have the
same time to live, so no message waits behind one with a longer time. After that time, the broker returns a message to
its work queue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from urlshot.adapters.broker import Publisher
from urlshot.core.messages import DEAD, TYPE, BareMessage, StartMessage, delay_queue, stripped


class Parking:
    """Publishes to the delay queues and the dead queue; thread-safe.

    Every method that publishes returns when the broker has confirmed the message.

    Raises:
        Transient: `queue_unavailable`: the broker did not confirm the message.
    """

    def __init__(self, publisher: Publisher, delays: tuple[int, ...], lease: int) -> None:
        """Prepares the queues' names.

        Args:
            publisher: The connection to the broker.
            delays: The retry delays in seconds, ascending.
            lease: The lease of a claim in seconds.
        """
        self._publisher = publisher
        self._delays = delays
        self._steps = sorted({*delays, lease})
        self.lease = timedelta(seconds=lease)

    def retry_delay(self, attempt: int) -> timedelta:
        """Returns how long a job waits after a failed attempt; `attempt` counts from 1."""
        return timedelta(seconds=self._delays[min(attempt, len(self._delays)) - 1])

    def park(self, message: StartMessage, queue: str, wait: timedelta, correlation_id: str) -> None:
        """Parks a message of the work queue `queue` for at least `wait`, but at most for the longest step."""
        self._publish(queue, message.body(), wait, correlation_id, message.id)

    def postpone(self, body: bytes, queue: str, correlation_id: str) -> None:
        """Parks a message, unchanged, for the shortest step."""
        self._publish(queue, body, timedelta(0), correlation_id, "")

    def bury(self, body: bytes, error: Mapping[str, Any], message_id: str = "") -> None:
        """Publishes a message to the dead queue, without its secrets and with the reason in a header."""
        reason = json.dumps({"code": error.get("code", "internal"), "detail": error.get("detail", "")})
        self._publisher.publish("", DEAD, stripped(body), message_id=message_id, type=TYPE, headers={"reason": reason})

    def bury_job(self, message: StartMessage, error: Mapping[str, Any]) -> None:
        """Buries a job's message in the bare form, so that moving it back to the work queue requests the job again."""
        bare = BareMessage(url=message.url, options=message.options, private=message.private)
        self.bury(bare.body(), error, message.id)

    def _publish(self, queue: str, body: bytes, wait: timedelta, correlation_id: str, message_id: str) -> None:
        seconds = next((step for step in self._steps if step >= wait.total_seconds()), self._steps[-1])
        self._publisher.publish(
            "",
            delay_queue(queue, seconds),
            body,
            message_id=message_id,
            correlation_id=correlation_id,
            type=TYPE,
        )
