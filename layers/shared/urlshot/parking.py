"""Where a job's messages wait on the broker, and where the broker keeps those that cannot be done.

Each work queue has one delay queue for each step: the retry delays, and the lease. The time to live is the queue's own,
so that no message waits behind a longer one. From a delay queue a message returns to its work queue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from urlshot.broker import Publisher
from urlshot.messages import DEAD, TYPE, BareMessage, StartMessage, delay_queue, stripped


class Parking:
    """The delay queues and the dead queue; safe to share between threads.

    Every method returns when the broker has confirmed the message, and raises `Transient` (`queue_unavailable`) if it
    does not.
    """

    def __init__(self, publisher: Publisher, delays: tuple[int, ...], lease: int) -> None:
        """`delays` are the retry delays in ascending seconds, `lease` is the length of a claim in seconds."""
        self._publisher = publisher
        self._delays = delays
        self._steps = sorted({*delays, lease})
        self.lease = timedelta(seconds=lease)

    def retry_delay(self, attempt: int) -> timedelta:
        """Returns how long a job waits after its attempt number `attempt`, which counts from 1."""
        return timedelta(seconds=self._delays[min(attempt, len(self._delays)) - 1])

    def park(self, message: StartMessage, queue: str, wait: timedelta, correlation_id: str) -> None:
        """Parks a message of the work queue `queue` for at least `wait`, or for the longest step."""
        self._publish(queue, message.body(), wait, correlation_id, message.id)

    def postpone(self, body: bytes, queue: str, correlation_id: str) -> None:
        """Parks a message as it is for the shortest delay."""
        self._publish(queue, body, timedelta(0), correlation_id, "")

    def bury(self, body: bytes, error: Mapping[str, Any], message_id: str = "") -> None:
        """Keeps a message that cannot be done in the dead queue, with the reason in a header and without secrets."""
        reason = json.dumps({"code": error.get("code", "internal"), "detail": error.get("detail", "")})
        self._publisher.publish("", DEAD, stripped(body), message_id=message_id, type=TYPE, headers={"reason": reason})

    def bury_job(self, message: StartMessage, error: Mapping[str, Any]) -> None:
        """Buries a job in the bare form, so that moving the message back to the work queue asks for the job again."""
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
