"""Tests the local event source mapping on a real broker: batches, acknowledgements, and requeueing on an error."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import amqp
import pytest
import pytest_asyncio
from pamqp.commands import Basic

from infra.local.broker.rabbitmq import Rabbit, with_credentials
from infra.local.functions.function import Throttled
from infra.local.functions.instance import Answer
from infra.local.sources.rabbitmq_mapping import Poller
from infra.local.template.model import QueueMapping
from tests.integration.conftest import ADMIN

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOOD = Answer(b"null", None, "r")
BAD = Answer(b'{"errorType": "X"}', "Unhandled", "r")


class Recorder:
    """Stands in for the functions: records every event, and answers with the given answers and then with success."""

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
    """Returns a function that starts a poller on a new queue, and returns a channel and the queue's name."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = (
        await channel.declare_queue(f"q-{request.node.name}"[:200], arguments={"x-queue-type": "quorum"}, durable=True)
    ).name
    tasks: list[asyncio.Task[None]] = []

    async def begin(
        recorder: Recorder, say: Callable[[str], None] = lambda _text: None, **changes: Any
    ) -> tuple[aio_pika.abc.AbstractChannel, str]:
        given: dict[str, Any] = {"batch_size": 10, "window": 0.3, "function": "F", "broker": "arn", "secret": "s"}
        address = changes.pop("url", url)
        mapping = QueueMapping(queue=queue, vhost="/", **{**given, **changes})
        poller = Poller(mapping, address, recorder, say)  # type: ignore[arg-type]
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
    """Returns how many messages of the queue are ready."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def test_message_arrives_in_lambdas_format(start: Start) -> None:
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


async def test_batch_closes_at_its_size_and_one_runs_at_a_time(start: Start) -> None:
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


async def test_error_requeues_the_whole_batch_and_success_acknowledges_it(start: Start) -> None:
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


async def test_throttled_batch_is_requeued(start: Start) -> None:
    recorder = Recorder(Throttled("F"))
    channel, queue = await start(recorder)
    await publish(channel, queue, "a")
    assert texts(await recorder.batch()) == ["a"]
    assert texts(await recorder.batch()) == ["a"]


async def test_window_of_zero_loses_no_message_and_keeps_the_order(start: Start) -> None:
    recorder = Recorder()
    recorder.gate = asyncio.Event()
    channel, queue = await start(recorder, batch_size=10, window=0)
    await publish(channel, queue, "a")
    assert texts(await recorder.batch()) == ["a"]
    await publish(channel, queue, *"bcdefg")
    recorder.gate.set()
    found: list[dict[str, Any]] = []
    while len(found) < 6:
        found += await recorder.batch()
    assert texts(found) == list("bcdefg")


class RawProperties(Basic.Properties):
    """Properties that are sent as raw bytes: the flags first, then the values."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw_bytes = raw

    def marshal(self) -> bytes:
        return self._raw_bytes


def headers(table: bytes) -> bytes:
    return b"\x20\x00" + len(table).to_bytes(4, "big") + table


ODD = [
    (b"\x00\x80\x03M\xfcl", "messageId", "M\ufffdl"),
    (b"\x80\x00\x02\xff\xfe", "contentType", "\ufffd\ufffd"),
    (b"\x00\x40" + b"\xff" * 8, "timestamp", None),
    (b"\x00\x40" + (1_767_225_600_000).to_bytes(8, "big"), "timestamp", None),  # milliseconds instead of seconds
    (headers(b"\x02\xfckS\0\0\0\x01v"), "headers", {"\ufffdk": {"bytes": [118]}}),
    (headers(b"\x01kS\0\0\0\x03M\xfcl"), "headers", {"k": {"bytes": [77, 0xFC, 108]}}),
    (headers(b"\x01kT" + b"\x7f" * 8), "headers", {"k": None}),
    (headers(b"\x01kD\x02\0\0\x04\xd2"), "headers", {"k": 12.34}),
    (headers(b"\x01kx\0\0\0\x02\x00\xff"), "headers", {"k": {"bytes": [0, 255]}}),
    (headers(b"\x01kV\x01lF\0\0\0\x04\x01mt\x01"), "headers", {"k": None, "l": {"m": True}}),
]


async def test_unusual_message_arrives_together_with_its_neighbours(start: Start) -> None:
    recorder, said = Recorder(), list[str]()
    channel, queue = await start(recorder, said.append, batch_size=2 * len(ODD), window=5)
    plain = await channel.get_underlay_channel()
    for n, (raw, _, _) in enumerate(ODD):
        await plain.basic_publish(b"odd %d" % n, routing_key=queue, properties=RawProperties(raw))
        await publish(channel, queue, f"plain {n}", headers={"k": "v"})
    records: list[dict[str, Any]] = []
    while len(records) < 2 * len(ODD):
        records += await recorder.batch()
    assert texts(records) == [f"{kind} {n}" for n in range(len(ODD)) for kind in ("odd", "plain")]
    assert not [record for record in records if record["redelivered"]]
    for record, (raw, name, expected) in zip(records[::2], ODD, strict=True):
        assert record["basicProperties"][name] == expected, raw
    assert all(record["basicProperties"]["headers"] == {"k": {"bytes": [118]}} for record in records[1::2])
    assert said == []


async def test_message_with_an_invalid_utf8_routing_key_arrives(start: Start, url: str) -> None:
    recorder = Recorder()
    channel, queue = await start(recorder)
    exchange = await channel.declare_exchange("odd-keys", aio_pika.ExchangeType.FANOUT, auto_delete=True)
    await (await channel.get_queue(queue)).bind(exchange)
    # aio_pika refuses such a key; py-amqp encodes lone surrogates as they are.
    await asyncio.to_thread(publish_with_key, url, "odd-keys", "\udcfc")
    assert texts(await recorder.batch()) == ["odd"]


def publish_with_key(url: str, exchange: str, key: str) -> None:
    parts = urlsplit(url)
    with amqp.Connection(f"127.0.0.1:{parts.port}", ADMIN.username, ADMIN.password, confirm_publish=True) as connection:
        connection.channel().basic_publish(amqp.Message("odd"), exchange, key, timeout=10)


async def test_message_over_the_limit_is_dropped_alone_and_reported(start: Start) -> None:
    recorder, said = Recorder(), asyncio.Queue[str]()
    channel, queue = await start(recorder, said.put_nowait, batch_size=3, window=0.3)
    await publish(channel, queue, "a", "x" * 4_800_000, "b")  # 6.4 MB in base64
    assert "dropped a message; its event of 64" in await asyncio.wait_for(said.get(), 30)
    found: list[dict[str, Any]] = []
    while len(found) < 2:
        found += await recorder.batch()
    assert texts(found) == ["a", "b"]
    await publish(channel, queue, "c")
    assert texts(await recorder.batch()) == ["c"]
    assert said.empty()
    assert await waiting(channel, queue) == 0


async def test_batch_closes_before_its_event_exceeds_the_limit(start: Start) -> None:
    recorder = Recorder()
    channel, queue = await start(recorder, batch_size=10, window=5)
    await publish(channel, queue, *(letter * 2_000_000 for letter in "abc"))
    assert [text[0] for text in texts(await recorder.batch())] == ["a", "b"]
    await publish(channel, queue, *"defghijkl")  # so that the batch closes at its size
    assert [text[0] for text in texts(await recorder.batch())] == list("cdefghijkl")


class Relay:
    """A TCP proxy to the broker that can cut every connection."""

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


async def test_lost_connection_is_reopened_and_batches_do_not_overlap(url: str, start: Start) -> None:
    recorder = Recorder()
    recorder.gate = asyncio.Event()
    relay = Relay(urlsplit(url).port or 0)
    parts = urlsplit(url)
    through = url.replace(f":{parts.port}/", f":{await relay.serve()}/")
    channel, queue = await start(recorder, url=through)
    await publish(channel, queue, "a")
    assert texts(await recorder.batch()) == ["a"]
    relay.cut()  # while the batch runs
    await asyncio.sleep(0.5)
    assert recorder.events.empty()
    recorder.gate.set()
    again = await recorder.batch()
    assert (texts(again), again[0]["redelivered"]) == (["a"], True)
    assert (relay.connections, recorder.most) == (2, 1)
