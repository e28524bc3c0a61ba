"""Simulates RabbitMQ with Lambda's event source mappings, which take one batch at a time from each work queue.

A message waits in a delay queue for the queue's time to live and returns to its work queue. If the handler of a batch
raises or dies, the whole batch returns to the front of its queue, marked as redelivered. A confirm can be lost, and a
publish can be refused.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.kernel import Kernel
from urlshot.core.errors import Transient
from urlshot.core.messages import COMPLETED, DEAD, EXCHANGE, FAILED, QUEUE, QUEUE_BULK, START, START_BULK, delay_queue

FAULTS = ("dies", "dies after", "refused", "confirm lost", "published twice", "slow")

ROUTES = {(EXCHANGE, START): QUEUE, (EXCHANGE, START_BULK): QUEUE_BULK}


@dataclass
class Message:
    body: bytes
    correlation_id: str = ""
    redelivered: bool = False


class SimulatedBroker:
    """The simulated queues and their mappings."""

    def __init__(
        self,
        kernel: Kernel,
        steps: tuple[int, ...],
        batch: int,
        deliver: Callable[[str, list[Message], Callable[[bool], None]], None],
        unroutable: Callable[[str], None],
    ) -> None:
        """Declares the queues.

        Args:
            kernel: The kernel of the history.
            steps: The delays of the delay queues, in seconds.
            batch: The largest number of messages in a batch.
            deliver: Handles a batch of a work queue, and calls its last argument with whether it succeeded.
            unroutable: Is called with the routing key of a message that no queue takes.
        """
        self._kernel = kernel
        self._batch = batch
        self._deliver = deliver
        self._unroutable = unroutable
        self._delays = {
            delay_queue(queue, seconds): (queue, seconds) for queue in (QUEUE, QUEUE_BULK) for seconds in steps
        }
        self.work: dict[str, deque[Message]] = {QUEUE: deque(), QUEUE_BULK: deque()}
        self.waiting = 0
        self.parked: Counter[str] = Counter()
        """How many messages each process has put into a delay queue."""
        self.dead: list[dict[str, object]] = []
        self.down_until = 0.0
        """The time until which no mapping fetches messages, in seconds."""
        self._busy: set[str] = set()

    # ---- the publisher's method -------------------------------------------------------------------------------------

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        message_id: str = "",
        correlation_id: str = "",
        type: str = "",  # noqa: A002
        headers: dict[str, str] | None = None,
        mandatory: bool = True,
    ) -> None:
        name, fault = self._kernel.enter(f"publish {key} {self._shown(body)}", FAULTS)
        if fault == "refused":
            raise Transient("queue_unavailable", internal="refused")
        self.parked[name] += key in self._delays
        for _ in range(2 if fault == "published twice" else 1):
            self._put(ROUTES.get((exchange, key), key), Message(body, correlation_id))
        if fault == "confirm lost":
            raise Transient("queue_unavailable", internal="confirm lost")
        self._kernel.leave(fault)

    # ---- queues -----------------------------------------------------------------------------------------------------

    def put(self, queue: str, body: bytes, correlation_id: str = "") -> None:
        """Publishes a message as a plain AMQP client does."""
        self._put(queue, Message(body, correlation_id))

    def _put(self, queue: str, message: Message) -> None:
        if queue in self.work:
            self.work[queue].append(message)
            self._look(queue)
        elif queue in self._delays:
            back, seconds = self._delays[queue]
            self.waiting += 1
            self._kernel.after(seconds, lambda: self._return(back, message))
        elif queue == DEAD:
            self.dead.append(json.loads(message.body))
        elif queue not in (COMPLETED, FAILED):
            self._unroutable(queue)
            raise Transient("queue_unavailable", internal=f"{queue}: returned")

    def _return(self, queue: str, message: Message) -> None:
        self.waiting -= 1
        self._put(queue, Message(message.body, message.correlation_id))

    # ---- the mappings -----------------------------------------------------------------------------------------------

    def _look(self, queue: str) -> None:
        if queue in self._busy or not self.work[queue]:
            return
        self._busy.add(queue)
        wait = self._kernel.decisions.latency(f"mapping {queue}")
        self._kernel.after(max(wait, self.down_until - self._kernel.now), lambda: self._fetch(queue))

    def _fetch(self, queue: str) -> None:
        waiting = self.work[queue]
        batch = [waiting.popleft() for _ in range(min(self._batch, len(waiting)))]

        def handled(well: bool) -> None:
            self._busy.discard(queue)
            if not well:
                waiting.extendleft(Message(one.body, one.correlation_id, True) for one in reversed(batch))
            self._look(queue)

        self._deliver(queue, batch, handled)

    def _shown(self, body: bytes) -> str:
        if self._kernel.trace is None:
            return ""
        value = json.loads(body)
        if "event_key" in value:
            return str(value["event_key"])
        return f"{value.get('generation', 'bare')} of {value.get('url', '')}"
