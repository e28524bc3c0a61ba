"""Simulates an SQS standard queue with Lambda's event source mapping, which takes one batch at a time.

A received message is hidden for the visibility timeout and then comes again, unless the mapping has deleted it. A
message that was received too often goes to the dead-letter queue. A message can be received twice at the same time.
Sources: SQS developer guide, "Visibility timeout", "At-least-once delivery" and "Dead-letter queues".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ReadTimeoutError

from tests.simulation.kernel import Kernel
from tests.simulation.s3 import refusal

FAULTS = ("dies", "dies after", "unavailable", "answer lost", "sent again", "slow")
RECEIVED = ("once", "twice")
RECEIVED_WEIGHTS = (0.03,)
DELETED = ("deleted", "not deleted")
DELETED_WEIGHTS = (0.03,)

BATCH, VISIBILITY_SECONDS, MAX_RECEIVES = 10, 360, 8
"""The settings of the mapping and of the queue in infra/consumers.yaml."""


@dataclass(eq=False)
class Message:
    id: str
    body: str
    received: int = 0
    received_at: float = 0.0
    turn: int = 0
    """Changes when the message gets a new time to come again; an older time then no longer counts."""
    deleted: bool = False


class SimulatedQueue:
    """One queue, and the client methods that the product calls."""

    def __init__(
        self,
        kernel: Kernel,
        handle: Callable[[list[Message], Callable[[set[str] | None], None]], None],
        bury: Callable[[str, float], None],
    ) -> None:
        """Creates the queue.

        Args:
            kernel: The kernel of the history.
            handle: Handles a batch, and calls its last argument with the ids that must come again; None means all.
            bury: Is called for each message that goes to the dead-letter queue, with its body and with the time at
                which it was received last.
        """
        self._kernel = kernel
        self._handle = handle
        self._bury = bury
        self._visible: deque[Message] = deque()
        self._messages: dict[str, Message] = {}

    # ---- the client's methods ---------------------------------------------------------------------------------------

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, Any]:  # noqa: N803
        return self._call("SendMessage", "", lambda: self.put(MessageBody))

    def change_message_visibility(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        ReceiptHandle: str,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
    ) -> dict[str, Any]:
        return self._call(
            "ChangeMessageVisibility",
            ReceiptHandle,
            lambda: self._hide(self._messages[ReceiptHandle], VisibilityTimeout),
        )

    def _call(self, operation: str, about: str, effect: Callable[[], None]) -> dict[str, Any]:
        _, fault = self._kernel.enter(operation, FAULTS, about)
        if fault == "unavailable":
            raise refusal(operation, "ServiceUnavailable", 503)
        for _ in range(2 if fault == "sent again" else 1):
            effect()
        if fault == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://sqs.example/")
        self._kernel.leave(fault)
        return {}

    # ---- the queue --------------------------------------------------------------------------------------------------

    def put(self, body: str) -> None:
        message = Message(f"message {len(self._messages) + 1}", body)
        self._messages[message.id] = message
        self._show(message)

    def _hide(self, message: Message, seconds: float) -> None:
        message.turn += 1
        turn = message.turn
        self._kernel.after(seconds, lambda: self._show(message) if message.turn == turn else None)

    def _show(self, message: Message) -> None:
        if not message.deleted:
            self._visible.append(message)
            self._kernel.after(self._kernel.decisions.latency(f"{message.id}/arrives"), self._fetch)

    # ---- the mapping ------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        batch: list[Message] = []
        again: list[Message] = []
        while self._visible and len(batch) < BATCH:
            message = self._visible.popleft()
            if message.deleted or message in batch:
                continue
            if message.received == MAX_RECEIVES:
                self._kernel.say("callback queue", f"{message.id} goes to the dead-letter queue")
                message.deleted = True
                self._bury(message.body, message.received_at)
                continue
            message.received, message.received_at = message.received + 1, self._kernel.now
            self._hide(message, VISIBILITY_SECONDS)
            batch.append(message)
            if RECEIVED[self._kernel.decisions.choose(f"{message.id}/received", RECEIVED_WEIGHTS)] == "twice":
                again.append(message)
        for message in again:
            self._show(message)
        if batch:
            self._handle(batch, lambda left: self._handled(batch, left))

    def _handled(self, batch: list[Message], left: set[str] | None) -> None:
        for message in batch:
            if left is None or message.id in left:
                continue
            if DELETED[self._kernel.decisions.choose(f"{message.id}/deleted", DELETED_WEIGHTS)] == "deleted":
                message.deleted = True
