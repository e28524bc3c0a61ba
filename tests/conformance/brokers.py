"""The two brokers that the tests compare: the simulated one, and RabbitMQ with the mappings of the local stack."""

from __future__ import annotations

import asyncio
import json
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from functions.dispatch.batch import Delivery, deliveries
from functions.topology.description import VHOST, Users, Wanted, describe
from functions.topology.management import Management
from infra.local.broker.rabbitmq import Rabbit, with_credentials
from infra.local.functions.instance import Answer
from infra.local.sources.rabbitmq_mapping import Poller
from infra.local.template.model import QueueMapping
from tests.conformance.calls import Caller
from tests.integration.conftest import (
    ADMIN,
    API,
    DELAYS,
    DISPATCH,
    LEASE,
    RENDER_TIMEOUT,
    SETTLE,
    WATCH,
    Broker,
    delays_of,
)
from tests.simulation.broker import Message, SimulatedBroker
from urlshot.core.messages import DEAD, QUEUE, QUEUE_BULK, QUEUES, RETURNED

BATCH = 3
"""The largest batch of the mappings."""
LIMIT = 10
"""The messages that a full work queue holds."""
WAIT = 60.0
"""Seconds; a busy machine may need as many."""
STEPS = (*DELAYS, LEASE)
Published = Callable[..., None]


@dataclass(frozen=True)
class Batch:
    """A batch that a mapping has given to its function; `end` says whether the function succeeded."""

    deliveries: list[Delivery]
    end: Callable[[bool], None]


class Queues(Protocol):
    """A broker with the queues of the product, and the mappings of the work queues and of the returned messages."""

    publish: Published
    """The method of the product's publisher."""

    def now(self) -> float:
        """Returns seconds of the broker's clock."""

    def start(self, *names: str) -> None:
        """Starts the mappings of queues."""

    def batch(self) -> Batch:
        """Waits for the next batch of any mapping."""

    def fetch(self, name: str, ready: int) -> None:
        """Waits until a mapping has fetched messages ahead of its next batch, and `ready` are left in the queue."""

    def waiting(self, name: str) -> int:
        """Returns the number of messages in a queue that no mapping has fetched, or in all delay queues."""

    def take(self, name: str, count: int) -> None:
        """Takes messages from a queue and acknowledges them."""

    def dead(self, count: int = 0) -> list[Any]:
        """Takes the JSON bodies of the messages in the dead queue, when there are at least `count`."""

    def end(self) -> None:
        """Stops the mappings and empties the queues."""


DELAYED = "the delay queues"


class SimulatedQueues:
    def __init__(self, limit: int) -> None:
        self._caller = Caller()
        self._batches: list[tuple[str, list[Message], Callable[[bool], None]]] = []
        self.unroutable: list[str] = []
        self._broker = SimulatedBroker(
            self._caller.kernel,
            STEPS,
            BATCH,
            lambda *batch: self._batches.append(batch),
            self.unroutable.append,
            limit,
        )
        self._broker._busy.update(self._broker.work)  # no mapping has started

    def publish(self, *arguments: Any, **more: Any) -> None:
        self._caller.call(lambda: self._broker.publish(*arguments, **more))

    def now(self) -> float:
        return self._caller.kernel.now

    def start(self, *names: str) -> None:
        for name in names:
            self._broker._busy.discard(name)
            self._broker._look(name)

    def batch(self) -> Batch:
        self._caller.wait_for(lambda: self._batches)
        name, messages, handled = self._batches.pop(0)
        found = [
            Delivery(one.queue or name, one.body, one.redelivered, one.correlation_id, one.returned) for one in messages
        ]
        return Batch(found, handled)

    def fetch(self, name: str, ready: int) -> None:
        """Does nothing: the simulated mapping counts what it has fetched when its batch ends."""

    def waiting(self, name: str) -> int:
        return self._broker.waiting if name == DELAYED else len(self._broker.work[name])

    def take(self, name: str, count: int) -> None:
        for _ in range(count):
            self._broker.work[name].popleft()

    def dead(self, count: int = 0) -> list[Any]:
        self._caller.wait_for(lambda: len(self._broker.dead) >= count)
        found, self._broker.dead = self._broker.dead, []
        return found

    def end(self) -> None:
        """Does nothing: every test has its own kernel."""


class RabbitQueues:
    def __init__(self, broker: Broker, rabbit: Rabbit, in_background: Callable[[Any], Any]) -> None:
        self._broker = broker
        self._rabbit = rabbit
        self._in_background = in_background
        self._batches: queue.Queue[Batch] = queue.Queue()
        self._mappings: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Future[Answer]] = set()
        self._publisher = broker.publisher(DISPATCH)
        self.publish = self._publisher.publish
        broker.channel.queue_purge(RETURNED)

    def now(self) -> float:
        return time.monotonic()

    def start(self, *names: str) -> None:
        url = with_credentials(self._rabbit.amqp, ADMIN.username, ADMIN.password)

        async def begin() -> None:
            for name in names:
                mapping = QueueMapping(
                    queue=name, vhost="/", batch_size=BATCH, window=0, function="F", broker="arn", secret="s"
                )
                poller = Poller(mapping, url, self, print)  # type: ignore[arg-type]
                self._mappings.append(asyncio.create_task(poller.run()))
                await asyncio.wait_for(poller.consuming.wait(), WAIT)

        self._in_background(begin())

    async def invoke(self, _: str, payload: bytes) -> Answer:
        """Stands in for the functions of the mappings."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def end(well: bool) -> None:
            given = Answer(b"null", None, "r") if well else Answer(b'{"errorType": "X"}', "Unhandled", "r")
            loop.call_soon_threadsafe(answer.set_result, given)

        self._running.add(answer)
        self._batches.put(Batch(deliveries(json.loads(payload)), end))
        try:
            return await answer
        finally:
            self._running.discard(answer)

    def batch(self) -> Batch:
        return self._batches.get(timeout=WAIT)

    def fetch(self, name: str, ready: int) -> None:
        until(lambda: self.waiting(name) == ready)

    def waiting(self, name: str) -> int:
        names = [one for work in QUEUES.values() for one in delays_of(work)] if name == DELAYED else [name]
        return sum(self._broker.channel.queue_declare(one, passive=True).message_count for one in names)

    def take(self, name: str, count: int) -> None:
        for _ in range(count):
            assert self._broker.channel.basic_get(name, no_ack=True) is not None

    def dead(self, count: int = 0) -> list[Any]:
        until(lambda: self.waiting(DEAD) >= count)
        return [json.loads(message.body) for message in self._broker.take(DEAD)]

    def end(self) -> None:
        async def stop() -> None:
            for mapping in self._mappings:
                mapping.cancel()
            for answer in self._running:
                answer.cancel()
            await asyncio.gather(*self._mappings, return_exceptions=True)

        self._in_background(stop())
        self._publisher.close()
        for name in (RETURNED, QUEUE, QUEUE_BULK):
            self._broker.channel.queue_purge(name)


def declare(broker: Broker, rabbit: Rabbit, queue: str, limit: int) -> None:
    """Declares a work queue again with another limit; a policy that comes before its queue is in force at once."""
    wanted = Wanted(RetryDelays=DELAYS, RenderTimeout=RENDER_TIMEOUT, QueueLimit=limit, BrokerConnections=1000)
    management = Management(rabbit.console, ADMIN)
    broker.channel.queue_delete(queue)
    for call in describe(wanted, Users(api=API, dispatch=DISPATCH, settle=SETTLE, watch=WATCH)):
        if call.path.endswith((f"/urlshot-{queue}", f"/q/{queue}", f"/queues/{VHOST}/{queue}")):
            management.carry_out(call)


def until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT
    while not happened():
        assert time.monotonic() < ends, "it has not happened in time"
        time.sleep(0.02)
