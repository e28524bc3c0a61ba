"""The simulated broker and RabbitMQ with the product's queues route, delay, requeue, give up and refuse alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.topology.description import DELIVERY_LIMIT
from tests.conformance.brokers import BATCH, DELAYED, LIMIT, WAIT, Batch, Queues, RabbitQueues, SimulatedQueues, declare
from tests.integration.conftest import DELAYS, LEASE
from urlshot.core.errors import Transient
from urlshot.core.messages import (
    COMPLETED,
    DEAD,
    EXCHANGE,
    QUEUE,
    QUEUE_BULK,
    RETURNED,
    START,
    START_BULK,
    delay_queue,
)

KINDS = ["simulated", "RabbitMQ"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def queues(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    """Returns a broker with empty queues, whose mappings have not started."""
    if kind == "simulated":
        yield SimulatedQueues(1_000_000)
        return
    monkeypatch.setattr("infra.local.sources.rabbitmq_mapping.RETRY_BACKOFF", (0.0,))
    be_patient(monkeypatch)
    broker, rabbit, loop = (request.getfixturevalue(name) for name in ("broker", "topology", "loop_in_background"))
    real = RabbitQueues(broker, rabbit, loop)
    yield real
    real.end()


@pytest.fixture
def small_queues(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    """Returns a broker whose work queue for bulk jobs holds `LIMIT` messages."""
    if kind == "simulated":
        yield SimulatedQueues(LIMIT)
        return
    broker, rabbit, loop = (request.getfixturevalue(name) for name in ("broker", "topology", "loop_in_background"))
    be_patient(monkeypatch)
    declare(broker, rabbit, QUEUE_BULK, LIMIT)
    real = RabbitQueues(broker, rabbit, loop)
    yield real
    real.end()
    declare(broker, rabbit, QUEUE_BULK, 1000)


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the publisher wait for a busy machine; it publishes again if no confirm comes in time."""
    for name in ("CONNECT_SECONDS", "CONFIRM_SECONDS"):
        monkeypatch.setattr(f"urlshot.adapters.broker.{name}", WAIT)


def body(text: str) -> bytes:
    return json.dumps({"url": text}).encode()


def publish(queues: Queues, text: str, key: str = QUEUE, exchange: str = "", **more: Any) -> None:
    queues.publish(exchange, key, body(text), **more)


def texts(batch: Batch) -> list[str]:
    return [json.loads(one.body)["url"] for one in batch.deliveries]


def collect(queues: Queues, count: int) -> list[tuple[str, bool]]:
    """Handles batches until `count` messages are delivered; returns each text and whether it was redelivered."""
    found: list[tuple[str, bool]] = []
    while len(found) < count:
        batch = queues.batch()
        assert 0 < len(batch.deliveries) <= BATCH
        found += zip(texts(batch), [one.redelivered for one in batch.deliveries], strict=True)
        batch.end(True)
    return found


@pytest.mark.parametrize(
    ("exchange", "key", "queue"),
    [(EXCHANGE, START, QUEUE), (EXCHANGE, START_BULK, QUEUE_BULK), ("", QUEUE, QUEUE), ("", QUEUE_BULK, QUEUE_BULK)],
)
def test_message_reaches_its_work_queue(queues: Queues, exchange: str, key: str, queue: str) -> None:
    publish(queues, "a", key, exchange, correlation_id="theirs")
    assert queues.waiting(queue) == 1  # the broker has confirmed the message, so it is there
    queues.start(queue)
    [delivery] = queues.batch().deliveries
    assert (delivery.queue, delivery.body, delivery.correlation_id) == (queue, body("a"), "theirs")
    assert (delivery.redelivered, delivery.returned) == (False, "")


def test_message_for_the_dead_queue_stays_there(queues: Queues) -> None:
    publish(queues, "a", DEAD)
    assert queues.dead() == [{"url": "a"}]


@pytest.mark.parametrize("queue", [QUEUE, QUEUE_BULK])
def test_message_waits_in_the_queue_of_the_lease(queues: Queues, queue: str) -> None:
    publish(queues, "a", delay_queue(queue, LEASE))
    assert (queues.waiting(DELAYED), queues.waiting(queue)) == (1, 0)


UNROUTABLE = {
    "unbound key": (EXCHANGE, "shot_direct.nobody"),
    "queue's name at the exchange": (EXCHANGE, QUEUE),
    "delay queue's name at the exchange": (EXCHANGE, delay_queue(QUEUE, LEASE)),
    "completion without a consumer": (EXCHANGE, COMPLETED),
    "no such queue": ("", "nobody"),
    "routing key at the default exchange": ("", START),
}


@pytest.mark.parametrize(("exchange", "key"), UNROUTABLE.values(), ids=list(UNROUTABLE))
def test_mandatory_message_without_a_queue_is_refused(queues: Queues, exchange: str, key: str) -> None:
    with pytest.raises(Transient, match="queue_unavailable"):
        publish(queues, "a", key, exchange)
    publish(queues, "a", key, exchange, mandatory=False)  # is confirmed and dropped
    assert [queues.waiting(name) for name in (QUEUE, QUEUE_BULK, DELAYED)] == [0, 0, 0]
    assert queues.dead() == []


def test_missing_exchange_is_an_error(queues: Queues) -> None:
    for mandatory in (True, False):
        with pytest.raises(Transient, match="queue_unavailable"):
            publish(queues, "a", START, "no_exchange", mandatory=mandatory)
    publish(queues, "b")
    assert queues.waiting(QUEUE) == 1


def test_delayed_messages_return_to_their_work_queue_in_order(queues: Queues) -> None:
    queues.start(QUEUE_BULK)
    began = queues.now()
    for text in "abc":
        publish(queues, text, delay_queue(QUEUE_BULK, DELAYS[0]), correlation_id=text)
    found = []
    while len(found) < 3:
        batch = queues.batch()
        assert queues.now() - began >= DELAYS[0]
        found += batch.deliveries
        batch.end(True)
    assert [(one.queue, one.body, one.correlation_id) for one in found] == [
        (QUEUE_BULK, body(text), text) for text in "abc"
    ]
    assert {(one.redelivered, one.returned) for one in found} == {(False, "")}
    assert queues.waiting(DELAYED) == 0


def test_short_delay_does_not_wait_for_a_long_one(queues: Queues) -> None:
    queues.start(QUEUE)
    publish(queues, "long", delay_queue(QUEUE, LEASE))
    publish(queues, "short", delay_queue(QUEUE, DELAYS[0]))
    assert collect(queues, 1) == [("short", False)]
    assert queues.waiting(DELAYED) == 1


def test_messages_keep_their_order_over_many_batches(queues: Queues) -> None:
    order = [str(number) for number in range(3 * BATCH + 1)]
    for text in order:
        publish(queues, text)
    queues.start(QUEUE)
    assert collect(queues, len(order)) == [(text, False) for text in order]


def test_mapping_runs_one_batch_at_a_time_and_delays_no_other_queue(queues: Queues) -> None:
    queues.start(QUEUE, QUEUE_BULK)
    publish(queues, "a")
    first = queues.batch()
    publish(queues, "b")
    publish(queues, "bulk", QUEUE_BULK)
    other = queues.batch()
    assert (texts(first), texts(other)) == (["a"], ["bulk"])
    other.end(True)
    first.end(True)
    assert collect(queues, 1) == [("b", False)]


def test_failed_batch_returns_as_a_whole_and_is_marked(queues: Queues) -> None:
    for text in "abc":
        publish(queues, text)
    queues.start(QUEUE)
    taken = 0
    while taken < 3:  # a mapping may begin with one message
        batch = queues.batch()
        assert not any(one.redelivered for one in batch.deliveries)
        taken += len(batch.deliveries)
        if taken < 3:
            batch.end(True)
    last = texts(batch)
    batch.end(False)
    assert collect(queues, len(last)) == [(text, True) for text in last]


def test_failed_batch_returns_behind_what_its_mapping_has_fetched(queues: Queues) -> None:
    queues.start(QUEUE)
    publish(queues, "a")
    batch = queues.batch()
    for text in "bcd":
        publish(queues, text)
    queues.fetch(QUEUE, ready=1)  # RabbitMQ delivers at most one batch ahead, the running one included
    batch.end(False)
    assert collect(queues, 4) == [("b", False), ("c", False), ("a", True), ("d", False)]


def test_message_delivered_too_often_is_returned_and_then_dead(queues: Queues) -> None:
    queues.start(QUEUE_BULK, RETURNED)
    publish(queues, "a", QUEUE_BULK, correlation_id="theirs")
    for name, reason in ((QUEUE_BULK, ""), (QUEUE_BULK, "delivery_limit")):
        for times in range(DELIVERY_LIMIT + 1):
            batch = queues.batch()
            [delivery] = batch.deliveries
            assert (delivery.queue, delivery.returned, delivery.redelivered) == (name, reason, times > 0)
            assert (delivery.body, delivery.correlation_id) == (body("a"), "theirs")
            batch.end(False)
    assert queues.dead(1) == [{"url": "a"}]
    assert [queues.waiting(name) for name in (QUEUE_BULK, RETURNED)] == [0, 0]


def test_full_queue_refuses_messages_until_there_is_room(small_queues: Queues) -> None:
    accepted = 0
    while not (refusal := refused(small_queues, START_BULK, EXCHANGE)):
        accepted += 1
        assert accepted < 3 * LIMIT
    assert refusal == "The queue is full."
    # A queue refuses after its limit is exceeded, and publishes that are under way then still get in.
    assert LIMIT < accepted == small_queues.waiting(QUEUE_BULK) <= LIMIT + 3
    assert refused(small_queues, QUEUE_BULK, "")
    assert not refused(small_queues, START, EXCHANGE)
    small_queues.take(QUEUE_BULK, accepted - LIMIT + 1)
    assert refused(small_queues, START_BULK, EXCHANGE)  # there is room, but less than a fifth of the places is free
    small_queues.take(QUEUE_BULK, 1)
    assert not refused(small_queues, START_BULK, EXCHANGE)
    assert small_queues.waiting(QUEUE_BULK) == LIMIT - 1


def refused(queues: Queues, key: str, exchange: str) -> str:
    """Publishes a message, and returns the text for the caller if it was refused."""
    try:
        publish(queues, "a", key, exchange)
    except Transient as error:
        return str(error.public()["detail"])
    return ""
