"""Implements Lambda's event source mapping for RabbitMQ: one batch at a time, acknowledged or requeued as a whole.

Source: "Using Lambda with Amazon MQ" and "Troubleshoot Amazon MQ event source mapping errors" in the Lambda developer
guide, and the example events there.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aio_pika
import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage

from infra.local.functions.function import Throttled
from infra.local.functions.instance import Answer
from infra.local.functions.lambdas import SYNC_LIMIT, Lambdas
from infra.local.host.waits import first_of
from infra.local.sources.amqp_properties import basic_properties, keep_raw_properties, raw_properties
from infra.local.template.model import QueueMapping

# Lambda's default window for Amazon MQ is 0.5 s. Here the default is shorter, because usually one user waits for one
# PDF.
WINDOW_SECONDS = 0.05
RETRY_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds after a batch that failed or was throttled
RECONNECT_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
CONNECT_SECONDS = 10.0
_CLOSE_SECONDS = 3.0
_LOST = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    aio_pika.exceptions.AMQPError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True)
class Arrived:
    """Holds a message that waits for its batch: the delivery tag, and the record for the event as JSON."""

    tag: int
    record: bytes


class Poller:
    """Runs one mapping.

    Args:
        mapping: The mapping.
        url: The URL of the broker with the credentials of the mapping's secret.
        lambdas: The functions.
        say: Prints a line for the user about an error.

    Attributes:
        consuming: Is set while the mapping consumes from its queue.
    """

    def __init__(self, mapping: QueueMapping, url: str, lambdas: Lambdas, say: Callable[[str], None]) -> None:
        self.mapping = mapping
        self.consuming = asyncio.Event()
        self._url = url
        self._lambdas = lambdas
        self._say = say
        self._running: asyncio.Task[Answer] | None = None
        source = {"eventSource": "aws:rmq", "eventSourceArn": mapping.broker}
        event = json.dumps({**source, "rmqMessagesByQueue": {f"{mapping.queue}::{mapping.vhost}": []}}).encode()
        self._before, self._after = event[:-3], event[-3:]
        keep_raw_properties()

    async def run(self) -> None:
        """Polls until it is cancelled, and reconnects when the connection is lost."""
        failures = 0
        while True:
            try:
                await self._session()
            except _LOST as error:
                self._say(f"mapping on {self.mapping.queue}: {type(error).__name__}: {error}; connecting again")
            failures = 0 if self.consuming.is_set() else failures + 1
            self.consuming.clear()
            if self._running is not None:  # one batch at a time, also over a new connection
                await asyncio.wait([self._running])
            await asyncio.sleep(_step(RECONNECT_BACKOFF, failures))

    async def _session(self) -> None:
        """Consumes over one connection until it is lost.

        Raises:
            Exception: One of `_LOST`: the broker refused or closed the connection.
        """
        connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=self.mapping.batch_size)
            # The message class of aio-pika raises on malformed properties, so this uses the level below it.
            plain = await channel.get_underlay_channel()
            arrived: asyncio.Queue[Arrived] = asyncio.Queue()
            closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def on_close(*_: Any) -> None:
                if not closed.done():
                    closed.set_result(None)

            channel.close_callbacks.add(on_close)
            connection.close_callbacks.add(on_close)
            # When the queue is deleted, the broker cancels the consumer but leaves connection and channel open.
            plain.on_consumer_cancel_callbacks.add(on_close)

            async def on_message(delivered: DeliveredMessage) -> None:
                message = self._arrived(delivered)
                if (size := self._size(message)) <= SYNC_LIMIT:
                    arrived.put_nowait(message)
                    return
                # Lambda also drops a record over its limit, but without a message.
                self._say(f"mapping on {self.mapping.queue}: dropped a message; its event of {size} bytes is over 6 MB")
                await plain.basic_ack(message.tag)

            await plain.basic_consume(self.mapping.queue, on_message, timeout=CONNECT_SECONDS)
            self.consuming.set()
            work = asyncio.ensure_future(self._batches(plain, arrived))
            try:
                await first_of(work, closed, seconds=None)
                if work.done():
                    await work
                self._say(f"mapping on {self.mapping.queue}: the broker ended the consumer; connecting again")
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        finally:
            with suppress(*_LOST):
                await asyncio.wait_for(connection.close(), timeout=_CLOSE_SECONDS)

    def _arrived(self, message: DeliveredMessage) -> Arrived:
        properties, fault = basic_properties(raw_properties(message.header), len(message.body))
        if fault is not None:
            self._say(f"mapping on {self.mapping.queue}: dropped unreadable properties of a message: {fault}")
        record = {
            "basicProperties": properties,
            "redelivered": bool(message.redelivered),
            "data": base64.b64encode(message.body).decode(),
        }
        return Arrived(message.delivery_tag or 0, json.dumps(record).encode())

    async def _batches(self, channel: AbstractChannel, arrived: "asyncio.Queue[Arrived]") -> None:
        failures, held = 0, None
        while True:
            batch, held = await self._batch(arrived, held)
            if await self._invoke(batch):
                # Every message up to this tag is in this batch or already acknowledged; `held` arrived later.
                await channel.basic_ack(batch[-1].tag, multiple=True)
                failures = 0
                continue
            for message in batch:
                await channel.basic_nack(message.tag, requeue=True)
            await asyncio.sleep(_step(RETRY_BACKOFF, failures))
            failures += 1

    async def _batch(
        self, arrived: "asyncio.Queue[Arrived]", held: Arrived | None
    ) -> tuple[list[Arrived], Arrived | None]:
        """Collects the next batch.

        The window starts with the first message. A window of 0 takes all messages that have arrived by then.

        Args:
            arrived: The queue of messages.
            held: The message that did not fit into the previous batch.

        Returns:
            The batch, and the message that did not fit into it, if any.
        """
        first = held or await arrived.get()
        batch, size, loop = [first], self._size(first), asyncio.get_running_loop()
        closes = loop.time() + (WINDOW_SECONDS if self.mapping.window is None else self.mapping.window)
        while len(batch) < self.mapping.batch_size:
            if arrived.empty():
                try:
                    async with asyncio.timeout_at(closes):
                        message = await arrived.get()
                except TimeoutError:
                    break
            else:
                message = arrived.get_nowait()
            size += len(message.record) + 1
            if size > SYNC_LIMIT:
                return batch, message
            batch.append(message)
        return batch, None

    def _size(self, message: Arrived) -> int:
        """Returns the size of an event with only this message, in bytes."""
        return len(self._before) + len(message.record) + len(self._after)

    async def _invoke(self, batch: list[Arrived]) -> bool:
        """Invokes the function with a batch, and says whether it succeeded."""
        event = self._before + b",".join(message.record for message in batch) + self._after
        try:
            self._running = asyncio.create_task(self._lambdas.invoke(self.mapping.function, event))
            answer = await asyncio.shield(self._running)
        except Throttled:
            return False
        except OSError as error:
            self._say(f"no instance of {self.mapping.function} can be started: {error}; the batch is requeued")
            return False
        if answer.error is not None:
            text = answer.payload.decode("utf-8", "replace")[:300]
            self._say(f"{self.mapping.function} failed on a batch of {len(batch)}, all of it is requeued: {text}")
        return answer.error is None


def _step(steps: tuple[float, ...], failures: int) -> float:
    return steps[min(failures, len(steps) - 1)]
