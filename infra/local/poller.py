"""Lambda's event source mapping for RabbitMQ: one batch at a time, all of it acknowledged or all of it requeued.

Source: "Using Lambda with Amazon MQ" in the Lambda developer guide, and the example events there.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiormq
from aio_pika.abc import AbstractIncomingMessage

from infra.local.async_events import TooLarge
from infra.local.function import Throttled
from infra.local.lambdas import Lambdas
from infra.local.model import QueueMapping
from infra.local.runtime import Answer
from infra.local.waits import first_of

BATCH_BYTES = 6 * 1024 * 1024
# Lambda's default window for Amazon MQ is 0.5 s. Here one person waits for one PDF most of the time, so a batch closes
# sooner; a mapping that names its window gets it.
WINDOW_SECONDS = 0.05
RETRY_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)  # after a batch that failed or was throttled
RECONNECT_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
CONNECT_SECONDS = 10.0
_CLOSE_SECONDS = 3.0
_LOST = (aiormq.exceptions.AMQPError, aio_pika.exceptions.AMQPError, OSError, TimeoutError)


class Poller:
    """One mapping at work until it is cancelled.

    mapping  which queue goes to which function
    url      the broker's URL with the credentials of the mapping's secret
    say      takes a line for people about what went wrong
    """

    def __init__(self, mapping: QueueMapping, url: str, lambdas: Lambdas, say: Callable[[str], None]) -> None:
        self.mapping = mapping
        self.consuming = asyncio.Event()
        self._url = url
        self._lambdas = lambdas
        self._say = say
        self._running: asyncio.Task[Answer] | None = None

    async def run(self) -> None:
        """Polls for ever; connects again when the connection is lost."""
        failures = 0
        while True:
            try:
                await self._session()
            except _LOST as error:
                self._say(f"mapping on {self.mapping.queue}: {type(error).__name__}: {error}; connecting again")
            failures = 0 if self.consuming.is_set() else failures + 1
            self.consuming.clear()
            if self._running is not None:  # one batch at a time, also across connections
                await asyncio.wait([self._running])
            await asyncio.sleep(_step(RECONNECT_BACKOFF, failures))

    async def _session(self) -> None:
        """One connection's life. Errors: what aio-pika raises when the broker refuses or goes away."""
        connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=self.mapping.batch_size)
            queue = await channel.get_queue(self.mapping.queue, ensure=False)
            arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
            closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def on_close(*_: Any) -> None:
                if not closed.done():
                    closed.set_result(None)

            channel.close_callbacks.add(on_close)
            connection.close_callbacks.add(on_close)
            # When the queue is deleted the broker cancels the consumer, and connection and channel stay open.
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(on_close)
            await queue.consume(arrived.put, timeout=CONNECT_SECONDS)
            self.consuming.set()
            work = asyncio.ensure_future(self._batches(arrived))
            try:
                await first_of(work, closed, seconds=None)
                if work.done():
                    await work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        finally:
            with suppress(*_LOST):
                await asyncio.wait_for(connection.close(), timeout=_CLOSE_SECONDS)

    async def _batches(self, arrived: "asyncio.Queue[AbstractIncomingMessage]") -> None:
        failures, held = 0, None
        while True:
            batch, held = await self._batch(arrived, held)
            if await self._invoke(batch):
                # Everything up to this tag is this batch or has been settled; `held` came later.
                await batch[-1].channel.basic_ack(batch[-1].delivery_tag or 0, multiple=True)
                failures = 0
                continue
            for message in batch:
                await message.nack(requeue=True)
            await asyncio.sleep(_step(RETRY_BACKOFF, failures))
            failures += 1

    async def _batch(
        self, arrived: "asyncio.Queue[AbstractIncomingMessage]", held: AbstractIncomingMessage | None
    ) -> tuple[list[AbstractIncomingMessage], AbstractIncomingMessage | None]:
        """The next batch, and the message that did not fit in any more."""
        batch = [held or await arrived.get()]
        size, loop = _event_size(batch[0]), asyncio.get_running_loop()
        window = WINDOW_SECONDS if self.mapping.window is None else self.mapping.window
        closes = loop.time() + window
        while len(batch) < self.mapping.batch_size:
            try:
                message = await asyncio.wait_for(arrived.get(), timeout=max(0.0, closes - loop.time()))
            except TimeoutError:
                break
            size += _event_size(message)
            if size > BATCH_BYTES:
                return batch, message
            batch.append(message)
        return batch, None

    async def _invoke(self, batch: list[AbstractIncomingMessage]) -> bool:
        event = batch_event(self.mapping, batch)
        try:
            invocation = self._lambdas.invoke(self.mapping.function, json.dumps(event).encode())
            self._running = asyncio.create_task(invocation)
            answer = await asyncio.shield(self._running)
        except Throttled:
            return False
        except TooLarge:  # base64 made it larger than Lambda takes; Lambda drops such records
            self._say(f"mapping on {self.mapping.queue}: dropped a batch that is too large as an event")
            return True
        if answer.error is not None:
            text = answer.payload.decode("utf-8", "replace")[:300]
            self._say(f"{self.mapping.function} failed on a batch of {len(batch)}, all of it is requeued: {text}")
        return answer.error is None


def batch_event(mapping: QueueMapping, batch: list[AbstractIncomingMessage]) -> dict[str, Any]:
    """The event that Lambda makes of a batch."""
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": mapping.broker,
        "rmqMessagesByQueue": {f"{mapping.queue}::{mapping.vhost}": [_record(message) for message in batch]},
    }


def _record(message: AbstractIncomingMessage) -> dict[str, Any]:
    return {
        "basicProperties": {
            "contentType": message.content_type,
            "contentEncoding": message.content_encoding,
            "headers": {name: _header(value) for name, value in (message.headers or {}).items()},
            "deliveryMode": message.delivery_mode.value if message.delivery_mode else None,
            "priority": message.priority,
            "correlationId": message.correlation_id,
            "replyTo": message.reply_to,
            "expiration": None if message.expiration is None else str(int(float(str(message.expiration)) * 1000)),
            "messageId": message.message_id,
            "timestamp": _timestamp(message.timestamp),
            "type": message.type,
            "userId": message.user_id,
            "appId": message.app_id,
            "clusterId": None,
            "bodySize": len(message.body),
        },
        "redelivered": bool(message.redelivered),
        "data": base64.b64encode(message.body).decode(),
    }


def _header(value: Any) -> Any:
    """A header's value: text arrives as its bytes, numbers plain, tables and lists with the same inside."""
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return {"bytes": list(value.encode())}
        case bytes() | bytearray():
            return {"bytes": list(value)}
        case datetime():
            return _timestamp(value)
        case dict():
            return {str(name): _header(item) for name, item in value.items()}
        case list() | tuple():
            return [_header(item) for item in value]
        case other:
            return {"bytes": list(str(other).encode())}


def _timestamp(value: Any) -> str | None:
    """As Lambda writes it, e.g. "Jan 1, 1970, 12:33:41 AM"."""
    if not isinstance(value, datetime):
        return None
    moment = value.astimezone(UTC) if value.tzinfo else value
    return f"{moment:%b} {moment.day}, {moment.year}, {int(moment.strftime('%I'))}:{moment:%M:%S %p}"


def _event_size(message: AbstractIncomingMessage) -> int:
    """Bytes that the message takes in the event: base64, and the properties around it, roughly."""
    return len(message.body) * 4 // 3 + 1024


def _step(steps: tuple[float, ...], failures: int) -> float:
    return steps[min(failures, len(steps) - 1)]
