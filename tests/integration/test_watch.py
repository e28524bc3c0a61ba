"""Tests the watch function on a real broker's management API, as a user who may only read it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import amqp
import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.watch import app
from functions.watch.queues import read_queues
from infra.local.broker.rabbitmq import Rabbit
from tests.integration.conftest import API, LEASE, RENDER_TIMEOUT, WATCH, Broker
from tests.unit.metrics import Emitted, read_metrics
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import Credentials
from urlshot.adapters.slots import Free, Slots
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Broken, Transient
from urlshot.core.messages import DEAD, EXCHANGE, QUEUE, QUEUE_BULK, START, START_BULK, delay_queue
from urlshot.core.render_contract import Slot

CONTEXT = cast("LambdaContext", SimpleNamespace())
STATISTICS_SECONDS = 30.0
"""Limit for the broker to update its statistics, which it does every few seconds without a signal."""


@pytest.fixture
def look(
    topology: Rabbit, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], Emitted]]:
    """Returns a function that runs watch as its schedule does, and returns the metrics that it emitted."""
    secret = boto3.client("secretsmanager").create_secret(
        Name=f"watch-{store.bucket}", SecretString=json.dumps({"username": WATCH.username, "password": WATCH.password})
    )
    monkeypatch.setenv("BROKER_CONSOLE", topology.console)
    monkeypatch.setenv("BROKER_WATCH_SECRET", secret["ARN"])
    monkeypatch.setenv("BUCKET", store.bucket)
    monkeypatch.setenv("RENDERS", "3")
    monkeypatch.setenv("RENDER_TIMEOUT", str(RENDER_TIMEOUT))
    monkeypatch.setattr(app.metrics, "namespace", "urlshot")
    app.bootstrap.cache_clear()

    def once() -> Emitted:
        capsys.readouterr()
        try:
            app.handler({}, CONTEXT)
        finally:
            emitted = read_metrics(capsys.readouterr().out)
        return emitted

    yield once
    app.bootstrap.cache_clear()


def until(look: Callable[[], Emitted], expected: Emitted) -> Emitted:
    """Runs watch until it emits `expected`, and returns all metrics of that run."""
    deadline = time.monotonic() + STATISTICS_SECONDS
    while not expected.items() <= (found := look()).items():
        assert time.monotonic() < deadline, f"{found} and not {expected}"
        time.sleep(0.2)  # the broker does not signal new statistics
    return found


def test_waiting_messages_are_counted_by_queue_and_age(look: Callable[[], Emitted], broker: Broker) -> None:
    publisher = broker.publisher(API)
    for key in (START, START_BULK, START_BULK):
        publisher.publish(EXCHANGE, key, b"{}")
    for queue in (DEAD, delay_queue(QUEUE, LEASE), delay_queue(QUEUE_BULK, LEASE)):
        broker.channel.basic_publish(amqp.Message(b"{}"), routing_key=queue)
    first = until(look, {("pdf.queue.ready",): 3, ("pdf.queue.dead",): 1, ("pdf.queue.parked",): 2})
    names = ("ready", "unacked", "retrying", "parked", "dead", "age", "bulk.age")
    assert first.keys() == {*((f"pdf.queue.{name}",) for name in names), ("pdf.slots",), ("pdf.slots.used",)}
    assert first["pdf.queue.retrying",] == 0
    began = time.time()
    app.bootstrap.cache_clear()  # stands for another process, which reads the history from the bucket
    later = look()
    for name in ("pdf.queue.age", "pdf.queue.bulk.age"):
        assert 0 <= first[name,] <= STATISTICS_SECONDS
        assert first[name,] < later[name,] <= first[name,] + time.time() - began + 1


def test_only_slots_that_dispatch_may_use_are_counted(
    look: Callable[[], Emitted], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot whose lease is over is free. A slot beyond `Renders` was taken under an older setting."""

    def slots(count: int, clock: Callable[[], datetime] = records.now) -> Slots:
        return Slots(store.bucket, s3_client(), "slot", count, timedelta(seconds=LEASE), clock)

    def used() -> float:
        emitted = look()
        assert emitted["pdf.slots",] == 3
        return emitted["pdf.slots.used",]

    assert used() == 0
    first, second, beyond = (slots(9).take(Free(number)) for number in (0, 2, 8))
    assert isinstance(first, Slot) and second and beyond
    assert used() == 2
    slots(9).give_back(first)
    assert used() == 1
    later = records.now() + timedelta(seconds=LEASE + 1)
    monkeypatch.setattr(app.bootstrap().slots, "_clock", lambda: later)
    assert used() == 0


@pytest.mark.slow  # the broker counts acknowledgements only every ten seconds
def test_acknowledged_messages_count_as_gone(look: Callable[[], Emitted], broker: Broker, topology: Rabbit) -> None:
    def gone() -> int:
        return next(queue.gone for queue in read_queues(topology.console, WATCH) if queue.name == QUEUE_BULK)

    before, publisher = gone(), broker.publisher(API)
    for _ in range(3):
        publisher.publish(EXCHANGE, START_BULK, b"{}")
    for _ in range(2):
        message = broker.channel.basic_get(QUEUE_BULK)
        assert message is not None
        broker.channel.basic_ack(message.delivery_tag)
    deadline = time.monotonic() + STATISTICS_SECONDS
    while gone() != before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)  # as above
    until(look, {("pdf.queue.ready",): 1})


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_changed_password_fails_once_and_is_then_read_again(
    look: Callable[[], Emitted], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(app, "read_credentials", lambda _: Credentials(WATCH.username, "old"))
        with pytest.raises(Broken, match="401"):
            look()
    assert ("pdf.queue.age",) in look()


def test_watch_user_can_read_no_message(topology: Rabbit) -> None:
    connection = amqp.Connection(f"127.0.0.1:{topology.amqp_port}", WATCH.username, WATCH.password)
    connection.connect()
    with pytest.raises(amqp.exceptions.AccessRefused):
        connection.channel().basic_get(QUEUE)
    connection.collect()


def test_unreachable_broker_is_a_transient_error() -> None:
    with pytest.raises(Transient):
        read_queues("http://127.0.0.1:1", WATCH)
