"""The mapping on a real broker: batches, acknowledgement on success, requeueing of the whole batch on an error."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
import pytest_asyncio

from infra.local.function import Throttled
from infra.local.model import QueueMapping
from infra.local.poller import Poller
from infra.local.rabbitmq import Rabbit, with_credentials
from infra.local.runtime import Answer
from tests.integration.conftest import ADMIN

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOOD = Answer(b"null", None, "r")
BAD = Answer(b'{"errorType": "X"}', "Unhandled", "r")


class Recorder:
    """Stands where the functions are: keeps every event and answers as it is told to."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.running = 0
        self.most = 0
        self.gate: asyncio.Event | None = None
        self._answers = list(answers)

    async def invoke(self, _name: str, payload: bytes) -> Answer:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            self.events.put_nowait(json.loads(payload))
            if self.gate is not None:
                await self.gate.wait()
            answer = self._answers.pop(0) if self._answers else GOOD
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.running -= 1

    async def batch(self) -> list[dict[str, Any]]:
        event = await asyncio.wait_for(self.events.get(), 10)
        (records,) = event["rmqMessagesByQueue"].values()
        return list(records)


@pytest.fixture
def url(rabbit: Rabbit) -> str:
    return with_credentials(rabbit.amqp, ADMIN.username, ADMIN.password)


Start = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module")
async def start(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Starts a poller on a new queue; gives the poller, a channel and the queue's name."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = (
        await channel.declare_queue(f"q-{request.node.name}"[:200], arguments={"x-queue-type": "quorum"}, durable=True)
    ).name
    tasks: list[asyncio.Task[None]] = []

    async def begin(recorder: Recorder, **changes: Any) -> tuple[aio_pika.abc.AbstractChannel, str]:
        given: dict[str, Any] = {"batch_size": 10, "window": 0.3, "function": "F", "broker": "arn", "secret": "s"}
        address = changes.pop("url", url)
        mapping = QueueMapping(queue=queue, vhost="/", **{**given, **changes})
        poller = Poller(mapping, address, recorder, lambda _text: None)  # type: ignore[arg-type]
        tasks.append(asyncio.create_task(poller.run()))
        await asyncio.wait_for(poller.consuming.wait(), 10)
        return channel, queue

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close()


async def publish(channel: aio_pika.abc.AbstractChannel, queue: str, *bodies: str, **properties: Any) -> None:
    for body in bodies:
        await channel.default_exchange.publish(aio_pika.Message(body.encode(), **properties), routing_key=queue)


def texts(records: list[dict[str, Any]]) -> list[str]:
    return [base64.b64decode(record["data"]).decode() for record in records]


async def waiting(channel: aio_pika.abc.AbstractChannel, queue: str) -> int:
    """Messages that are ready, once the poller has been stopped or has settled what it had."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def test_messages_arrive_as_lambda_writes_them(start: Start) -> None:
    recorder = Recorder()
    channel, queue = await start(recorder)
    await publish(
        channel,
        queue,
        '{"url": "x"}',
        headers={"text": "Zoë", "number": 7, "table": {"inner": "v"}},
        message_id="m-1",
        type="url_shot",
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        timestamp=20021,
    )
    event = await asyncio.wait_for(recorder.events.get(), 10)
    assert event["eventSource"] == "aws:rmq"
    (record,) = event["rmqMessagesByQueue"][f"{queue}::/"]
    properties = record["basicProperties"]
    assert properties["headers"]["text"] == {"bytes": list("Zoë".encode())}
    assert properties["headers"]["number"] == 7
    assert properties["headers"]["table"] == {"inner": {"bytes": [118]}}
    assert (properties["messageId"], properties["type"], properties["deliveryMode"]) == ("m-1", "url_shot", 2)
    assert (properties["timestamp"], properties["bodySize"]) == ("Jan 1, 1970, 5:33:41 AM", 12)
    assert properties["correlationId"] is None
    assert record["redelivered"] is False
    assert base64.b64decode(record["data"]) == b'{"url": "x"}'


async def test_a_batch_closes_at_its_size_and_one_runs_at_a_time(start: Start) -> None:
    recorder = Recorder()
    recorder.gate = asyncio.Event()
    channel, queue = await start(recorder, batch_size=3, window=1.0)
    await publish(channel, queue, *"abcdefg")
    sizes = [len(await recorder.batch())]
    recorder.gate.set()
    while sum(sizes) < 7:
        sizes.append(len(await recorder.batch()))
    assert sizes[0] == 3
    assert max(sizes) == 3
    assert recorder.most == 1


async def test_an_error_requeues_the_whole_batch_and_success_acknowledges_it(start: Start) -> None:
    recorder = Recorder(BAD, GOOD)
    channel, queue = await start(recorder, batch_size=3)
    await publish(channel, queue, "a", "b", "c")
    first = await recorder.batch()
    assert sorted(texts(first)) == ["a", "b", "c"]
    again: list[dict[str, Any]] = []
    while len(again) < 3:
        again += await recorder.batch()
    assert sorted(texts(again)) == ["a", "b", "c"]
    assert [record["redelivered"] for record in first + again] == [False] * 3 + [True] * 3
    assert await waiting(channel, queue) == 0


async def test_throttling_requeues_too(start: Start) -> None:
    recorder = Recorder(Throttled("F"))
    channel, queue = await start(recorder)
    await publish(channel, queue, "a")
    assert texts(await recorder.batch()) == ["a"]
    assert texts(await recorder.batch()) == ["a"]


class Relay:
    """Passes bytes to the broker until it is told to cut every connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0

    async def serve(self) -> int:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def test_a_lost_connection_is_made_again_and_a_batch_still_runs_alone(url: str, start: Start) -> None:
    recorder = Recorder()
    recorder.gate = asyncio.Event()
    relay = Relay(urlsplit(url).port or 0)
    parts = urlsplit(url)
    through = url.replace(f":{parts.port}/", f":{await relay.serve()}/")
    channel, queue = await start(recorder, url=through)
    await publish(channel, queue, "a")
    assert texts(await recorder.batch()) == ["a"]
    relay.cut()  # in the middle of the batch
    await asyncio.sleep(0.5)
    assert recorder.events.empty()
    recorder.gate.set()
    again = await recorder.batch()
    assert (texts(again), again[0]["redelivered"]) == (["a"], True)
    assert (relay.connections, recorder.most) == (2, 1)
