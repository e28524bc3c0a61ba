"""Simulates RabbitMQ with Lambda's event source mappings, which take one batch at a time from each work queue.

A message waits in a delay queue for the queue's time to live and returns to its work queue. If the handler of a batch
raises or dies, the whole batch returns to the front of its queue, marked as redelivered; messages that the mapping has
fetched meanwhile stay ahead of it. A message that was delivered too often goes to the queue of returned messages, and
from there to the dead queue. A confirm can be lost, and a publish can be refused.

Source: RabbitMQ's guides to publishers, dead letter exchanges and quorum queues. Where they say too little, the rules
are those of the real broker, and `tests/conformance/test_broker.py` compares the two.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

from functions.topology.description import DELIVERY_LIMIT
from tests.simulation.kernel import Kernel
from urlshot.core.errors import Transient
from urlshot.core.messages import DEAD, EXCHANGE, FAILED, QUEUE, QUEUE_BULK, RETURNED, START, START_BULK, delay_queue

FAULTS = ("dies", "dies after", "refused", "confirm lost", "published twice", "slow")

ROUTES = {(EXCHANGE, START): QUEUE, (EXCHANGE, START_BULK): QUEUE_BULK}

DEAD_LETTER_SECONDS = 180
"""Seconds after which the broker tries again to dead-letter a message to a queue that was full."""
RESUME = 0.8
"""A queue that was full takes messages again when it holds at most this share of its limit."""


@dataclass
class Message:
    body: bytes
    correlation_id: str = ""
    redelivered: bool = False
    deliveries: int = 0
    """How often a batch with the message failed."""
    queue: str = ""
    """The work queue that gave the message up."""
    returned: str = ""
    """Why a work queue gave the message up."""


class SimulatedBroker:
    """The simulated queues and their mappings."""

    KINDS = MappingProxyType({QUEUE: "normal", QUEUE_BULK: "bulk", RETURNED: "returned"})
    """The queues that have a mapping, and what they hold."""

    def __init__(
        self,
        kernel: Kernel,
        steps: tuple[int, ...],
        batch: int,
        deliver: Callable[[str, list[Message], Callable[[bool], None]], None],
        unroutable: Callable[[str], None],
        limit: int = 1_000_000,
        deliveries: int = DELIVERY_LIMIT,
    ) -> None:
        """Declares the queues.

        Args:
            kernel: The kernel of the history.
            steps: The delays of the delay queues, in seconds.
            batch: The largest number of messages in a batch.
            deliver: Handles a batch of a work queue, and calls its last argument with whether it succeeded.
            unroutable: Is called with the routing key of a mandatory message that no queue takes.
            limit: The number of messages that a work queue holds.
            deliveries: How often a batch with a message of a work queue may fail, before the message is given up.
        """
        self._kernel = kernel
        self._batch = batch
        self._deliver = deliver
        self._unroutable = unroutable
        self._delays = {
            delay_queue(queue, seconds): (queue, seconds) for queue in (QUEUE, QUEUE_BULK) for seconds in steps
        }
        self._limit = limit
        self._full: set[str] = set()
        self._deliveries = deliveries
        self.work: dict[str, deque[Message]] = {queue: deque() for queue in self.KINDS}
        self.waiting = 0
        self.parked: Counter[str] = Counter()
        """How many messages each process has put into a delay queue, as far as it knows."""
        self.refusals: list[tuple[float, str]] = []
        """When a message was refused for good, and its URL, as the producer of the message learns them."""
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
        name, fault = self._kernel.enter(f"publish {key}", FAULTS, self._shown(body))
        if fault == "refused":
            raise Transient("queue_unavailable", internal="refused")
        self.parked[name] += key in self._delays and fault != "confirm lost"
        for _ in range(2 if fault == "published twice" else 1):
            self._publish(exchange, key, Message(body, correlation_id), mandatory=mandatory)
        if fault == "confirm lost":
            raise Transient("queue_unavailable", internal="confirm lost")
        self._kernel.leave(fault)

    def _publish(self, exchange: str, key: str, message: Message, *, mandatory: bool) -> None:
        if exchange not in ("", EXCHANGE):
            raise Transient("queue_unavailable", internal=f"{key}: no exchange {exchange}")
        queue = key if exchange == "" else ROUTES.get((exchange, key), "")
        if queue in ROUTES.values() and self._is_full(queue):
            raise Transient("queue_unavailable", "The queue is full.", internal=f"{key}: nacked")
        if queue in self.work or queue in self._delays or queue == DEAD:
            self._put(queue, message)
        elif mandatory:
            self._unroutable(key)
            raise Transient("queue_unavailable", internal=f"{key}: returned")
        elif (exchange, key) == (EXCHANGE, FAILED):
            told = json.loads(message.body)
            if told["event_key"].endswith(":refused"):
                self.refusals.append((self._kernel.now, told["url"]))

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
        else:
            self.dead.append(json.loads(message.body))

    def _is_full(self, queue: str) -> bool:
        """Says whether a work queue refuses messages; it refuses them after its limit is exceeded."""
        waiting = len(self.work[queue])
        if waiting > self._limit:
            self._full.add(queue)
        elif waiting <= int(self._limit * RESUME):
            self._full.discard(queue)
        return queue in self._full

    def _return(self, queue: str, message: Message) -> None:
        """Dead-letters a message from a delay queue to its work queue."""
        if self._is_full(queue):
            self._kernel.after(DEAD_LETTER_SECONDS, lambda: self._return(queue, message))
            return
        self.waiting -= 1
        self._put(queue, Message(message.body, message.correlation_id))

    def _requeue(self, queue: str, batch: list[Message]) -> None:
        """Returns the messages of a batch that failed to the front of their queue, or gives them up."""
        waiting, kept = self.work[queue], list[Message]()
        fetched = [waiting.popleft() for _ in range(min(self._batch - len(batch), len(waiting)))]
        for one in batch:
            deliveries = one.deliveries + 1
            if deliveries <= (DELIVERY_LIMIT if queue == RETURNED else self._deliveries):
                kept.append(replace(one, redelivered=True, deliveries=deliveries))
            elif queue == RETURNED:
                self._put(DEAD, one)
            else:
                self._put(RETURNED, Message(one.body, one.correlation_id, queue=queue, returned="delivery_limit"))
        waiting.extendleft(reversed(fetched + kept))

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
                self._requeue(queue, batch)
            self._look(queue)

        self._deliver(queue, batch, handled)

    def _shown(self, body: bytes) -> str:
        if self._kernel.trace is None:
            return ""
        value = json.loads(body)
        if "event_key" in value:
            return str(value["event_key"])
        return f"{value.get('generation', 'bare')} of {value.get('url', '')}"
