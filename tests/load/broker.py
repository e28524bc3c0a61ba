"""The talk's `super_bus` experiment, by a plain client and by the publisher of urlshot.

It publishes persistent messages of random size to RabbitMQ with confirms, and consumes them with acknowledgements.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import amqp

from infra.local.broker.rabbitmq import SERVER, Rabbit, with_credentials
from tests.bench.local import connect
from tests.load.document import bullets, table, write_section
from urlshot.adapters.broker import Publisher
from urlshot.adapters.secrets import Credentials

LARGEST = 1 << 16
"""Sizes are drawn evenly from 1 to so many bytes."""
SECONDS, ROUNDS = 10.0, 3
OUTSTANDING = 100
"""How many publishes may wait for their confirms at the same time, and how many messages a consumer may hold."""
END_SECONDS = 120.0
MEMORY = "4GB"
USER = "bench"
Send = Callable[[bytes], None]


@dataclass(frozen=True)
class Rate:
    """Messages and bytes of one round, and its seconds until the last confirm and until the last acknowledgement."""

    messages: int
    bytes: int
    published: float
    consumed: float


class Plain:
    """A plain client, which has at most `outstanding` publishes without a confirm."""

    def __init__(self, url: str, queue: str, outstanding: int) -> None:
        self._channel = connect(url).channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._confirmed)
        self._queue, self._outstanding = queue, outstanding
        self._sent = 0
        self._open: set[int] = set()
        """The delivery tags of the publishes without a confirm."""

    def _confirmed(self, tag: int, multiple: bool) -> None:
        self._open -= {one for one in self._open if one <= tag} if multiple else {tag}

    def send(self, body: bytes) -> None:
        # That of the class: the one of the channel waits for the confirm.
        amqp.Channel.basic_publish(self._channel, amqp.Message(body, delivery_mode=2), "", self._queue)
        self._sent += 1
        self._open.add(self._sent)
        self.wait(self._outstanding - 1)

    def wait(self, left: int) -> None:
        """Waits until at most `left` publishes have no confirm."""
        while len(self._open) > left:
            self._channel.connection.drain_events(timeout=END_SECONDS)

    def close(self) -> None:
        self.wait(0)
        self._channel.connection.close()


class Ours:
    """The publisher of urlshot."""

    def __init__(self, url: str, queue: str, password: str) -> None:
        self._publisher = Publisher(url, lambda: Credentials(USER, password))
        self._queue = queue

    def send(self, body: bytes) -> None:
        self._publisher.publish("", self._queue, body)

    def close(self) -> None:
        self._publisher.close()


def consume(url: str, queue: str, told: Connection) -> None:
    """Consumes until `told` has said how many messages there are; answers with their number and bytes, and the time."""
    channel = connect(url).channel()
    channel.basic_qos(0, OUTSTANDING, a_global=False)
    count = size = 0

    def take(message: Any) -> None:
        nonlocal count, size
        count, size = count + 1, size + len(message.body)
        channel.basic_ack(message.delivery_tag)

    channel.basic_consume(queue, callback=take)
    told.send("ready")
    wanted: int | None = None
    until = time.monotonic() + SECONDS + END_SECONDS
    while (wanted is None or count < wanted) and time.monotonic() < until:
        if wanted is None and told.poll():
            wanted = told.recv()
            continue
        try:
            channel.connection.drain_events(timeout=0.2)
        except TimeoutError:
            continue
    told.send((count, size, time.time()))
    channel.connection.close()


def measure(url: str, queue: str, publisher: Plain | Ours, seed: int) -> Rate:
    """Publishes for `SECONDS` while another process consumes.

    Raises:
        SystemExit: The consumer got other messages than were published.
    """
    ours, theirs = multiprocessing.Pipe()
    consumer = multiprocessing.get_context("spawn").Process(target=consume, args=(url, queue, theirs), daemon=True)
    consumer.start()
    if not ours.poll(END_SECONDS):
        raise SystemExit("the consumer did not start")
    ours.recv()
    drawn = random.Random(seed)
    block = drawn.randbytes(LARGEST)
    count = size = 0
    began = time.time()
    while time.time() < began + SECONDS:
        body = block[: drawn.randint(1, LARGEST)]
        publisher.send(body)
        count, size = count + 1, size + len(body)
    publisher.close()
    published = time.time() - began
    ours.send(count)
    if not ours.poll(2 * END_SECONDS):
        raise SystemExit("the consumer did not end")
    got, got_size, ended = ours.recv()
    consumer.join(END_SECONDS)
    if (got, got_size) != (count, size):
        raise SystemExit(f"{count} messages of {size} bytes were confirmed, {got} of {got_size} bytes consumed")
    return Rate(count, size, published, ended - began)


def rounds(url: str, password: str, seed: int) -> dict[str, list[Rate]]:
    """Measures each publisher in turn, `ROUNDS` times."""
    address = with_credentials(url, USER, password)
    queue = "super_bus"
    connection = connect(address)
    connection.channel().queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    connection.close()
    made: dict[str, Callable[[], Plain | Ours]] = {
        "plain client, waits for each confirm": lambda: Plain(address, queue, 1),
        f"plain client, {OUTSTANDING} outstanding confirms": lambda: Plain(address, queue, OUTSTANDING),
        "urlshot's publisher, waits for each confirm": lambda: Ours(url, queue, password),
    }
    found: dict[str, list[Rate]] = {name: [] for name in made}
    for number in range(ROUNDS):
        for name, make in made.items():
            rate = measure(address, queue, make(), seed + number)
            print(f"{name}: {rate.messages / rate.published:.0f} messages/s", flush=True)
            found[name].append(rate)
    return found


def _allow_memory(rabbit: Rabbit) -> None:
    """Raises the memory at which the node blocks publishers.

    Quorum queues keep up to 512 MB of messages in the log in memory, acknowledged ones too. That is the local stack's
    limit, so large messages would block all publishers for good.
    """
    ctl = [SERVER.with_name("rabbitmqctl"), "-n", rabbit.environment["RABBITMQ_NODENAME"], "--quiet"]
    limit = ["set_vm_memory_high_watermark", "absolute", MEMORY]
    subprocess.run([*ctl, *limit], env=rabbit.environment, cwd=rabbit.folder, check=True, timeout=END_SECONDS)


def report(found: dict[str, list[Rate]]) -> str:
    """Returns the section about the broker; the medians of all rounds."""
    lines = [
        f"The talk's `super_bus` experiment: persistent messages of 1 to {LARGEST:,} bytes, published to a durable"
        " quorum queue with confirms, while another process consumes them and acknowledges each",
        f"{ROUNDS} rounds of {SECONDS:g} s each, in turns; medians. Each round consumed all that it published.",
    ]
    rows = []
    for name, rates in found.items():
        medians = [
            statistics.median(one.messages / one.published for one in rates),
            statistics.median(one.bytes / one.published / 1e6 for one in rates),
            statistics.median(one.messages / one.consumed for one in rates),
            statistics.median(one.bytes / one.consumed / 1e6 for one in rates),
        ]
        rows.append([name, *(f"{one:,.0f}" if one >= 10 else f"{one:.1f}" for one in medians)])
    head = ["publisher", "published messages/s", "MB/s", "consumed messages/s", "MB/s"]
    return "\n".join([*bullets(lines), "", *table(head, rows)])


def benchmark(seed: int) -> int:
    """Runs the benchmark with a broker of its own, writes its section, and returns the exit status."""

    async def run() -> dict[str, list[Rate]]:
        with tempfile.TemporaryDirectory(prefix="urlshot-broker-") as folder:
            Path(folder).chmod(0o755)  # the broker may run as another user
            rabbit = Rabbit(Path(folder) / "rabbitmq", lambda _: None)
            password = secrets.token_hex(16)
            await rabbit.start(USER, password)
            try:
                await asyncio.to_thread(_allow_memory, rabbit)
                return await asyncio.to_thread(rounds, rabbit.amqp, password, seed)
            finally:
                await rabbit.stop()

    body = report(asyncio.run(run()))
    print(body)
    write_section("Broker", body)
    return 0
