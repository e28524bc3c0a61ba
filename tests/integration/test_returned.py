"""Dispatch answers messages that the broker gave up: expired ones, and those that were delivered too often."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from typing import Any

import amqp
import pytest

from functions.dispatch.batch import Delivery, deliveries
from functions.topology.description import DELIVERY_LIMIT
from tests.integration.conftest import LEASE, Broker
from tests.integration.workbench import ID, Bench
from urlshot.adapters.store import Store
from urlshot.core.errors import Transient
from urlshot.core.messages import DEAD, EXCHANGE, QUEUE, QUEUE_BULK, RETURNED, START_BULK
from urlshot.core.render_contract import Report

SECRET = "top-secret"


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    broker.channel.queue_purge(RETURNED)
    return Bench(store, broker)


def as_lambda_has_it(value: Any) -> Any:
    """A header as Lambda's event has it: a text is the numbers of its bytes."""
    match value:
        case str():
            return {"bytes": list(value.encode())}
        case dict():
            return {name: as_lambda_has_it(one) for name, one in value.items()}
        case list():
            return [as_lambda_has_it(one) for one in value]
    return value if isinstance(value, int | float | bool) else None


def returned(bench: Bench) -> Delivery:
    """Waits for the broker to give a message up, and returns it as dispatch reads it."""
    ends = time.monotonic() + 60
    while (message := bench.broker.channel.basic_get(RETURNED, no_ack=True)) is None:
        assert time.monotonic() < ends, "the broker gave no message up"
        time.sleep(0.05)
    properties = {
        "headers": as_lambda_has_it(message.headers),
        "correlationId": message.properties.get("correlation_id"),
    }
    body = message.body.encode() if isinstance(message.body, str) else message.body
    record = {"data": base64.b64encode(body).decode(), "basicProperties": properties, "redelivered": False}
    [delivery] = deliveries({"rmqMessagesByQueue": {f"{RETURNED}::/": [record]}})
    return delivery


def delivered_too_often(bench: Bench, queue: str, body: bytes) -> Delivery:
    """Has the broker deliver a message more often than it may, and returns it."""
    channel = bench.broker.channel
    channel.basic_publish(amqp.Message(body, delivery_mode=2), exchange="", routing_key=queue)
    ends, times = time.monotonic() + 60, 0
    while times <= DELIVERY_LIMIT:
        assert time.monotonic() < ends
        if (message := channel.basic_get(queue)) is not None:
            channel.basic_reject(message.delivery_tag, requeue=True)
            times += 1
    return returned(bench)


def test_expired_message_is_answered_and_kept_without_secrets(bench: Bench) -> None:
    body = {"url": "https://example.com/", "private": {"headers": {"Authorization": SECRET}}}
    bench.broker.channel.basic_publish(
        amqp.Message(json.dumps(body).encode(), expiration="50", correlation_id="theirs"),
        exchange=EXCHANGE,
        routing_key=START_BULK,
    )
    delivery = returned(bench)
    assert (delivery.queue, delivery.returned) == (QUEUE_BULK, "expired")
    assert bench.dispatch(delivery) == ["dead"]
    [told] = bench.broker.take(bench._completions)
    failure = json.loads(told.body)
    assert (failure["error"]["code"], told.properties["correlation_id"]) == ("message_expired", "theirs")
    [dead] = bench.broker.take(DEAD)
    assert json.loads(dead.headers["reason"])["code"] == "message_expired"
    assert json.loads(dead.body)["private"] == "stripped"
    assert (bench.jobs, bench.store.read(ID)) == ([], None)


def test_job_whose_message_was_delivered_too_often_fails(bench: Bench) -> None:
    delivery = delivered_too_often(bench, QUEUE, bench.queue_job().body)
    assert (delivery.queue, delivery.returned) == (QUEUE, "delivery_limit")
    assert bench.dispatch(delivery) == ["failed"]
    [event] = bench.events()
    assert event["detail"]["error"]["code"] == "internal"
    assert bench.completions() == [event["detail"]]
    assert (bench.record().announced, len(bench.broker.take(DEAD)), bench.waiting()) == (True, 1, [])


def test_delay_queues_are_not_taken_for_the_work_queue(bench: Bench) -> None:
    """A job that was retried has left a delay queue by its expiry before."""
    job = bench.queue_job()
    headers = as_lambda_has_it(
        {
            "x-death": [
                {"queue": QUEUE_BULK, "reason": "delivery_limit"},
                {"queue": f"{QUEUE}_retry_5s", "reason": "expired"},
            ]
        }
    )
    record = {"data": base64.b64encode(job.body).decode(), "basicProperties": {"headers": headers}}
    [delivery] = deliveries({"rmqMessagesByQueue": {f"{RETURNED}::/": [record]}})
    assert (delivery.queue, delivery.returned) == (QUEUE_BULK, "delivery_limit")


@pytest.mark.parametrize("headers", [None, {}, {"x-death": "no"}, {"x-death": [1, {"queue": 7}, {"reason": None}]}])
def test_message_without_a_readable_reason_is_answered_too(bench: Bench, headers: Any) -> None:
    record = {"data": base64.b64encode(b'{"url": "https://example.com/"}').decode()}
    event = {"rmqMessagesByQueue": {f"{RETURNED}::/": [{**record, "basicProperties": {"headers": headers}}]}}
    assert bench.dispatch(*deliveries(event)) == ["dead"]
    [failure] = bench.completions()
    assert failure["error"]["code"] == "internal"
    bench.broker.take(DEAD)


def test_returned_duplicate_of_a_running_job_waits_for_the_lease(bench: Bench) -> None:
    job = bench.queue_job()
    assert bench.dispatch(job) == ["handed over"]
    bench.waiting()
    assert bench.dispatch(Delivery(QUEUE, job.body, False, returned="delivery_limit")) == ["parked"]
    assert bench.record().state == "running"


def test_returned_message_of_an_ended_job_is_dropped(bench: Bench, report: Report) -> None:
    job = bench.queue_job()
    bench.dispatch(job)
    bench.settle(bench.rendered(bench.jobs[0], report))
    assert bench.dispatch(Delivery(QUEUE, job.body, False, returned="delivery_limit")) == ["dropped"]
    assert bench.record().state == "done"


def test_returned_message_goes_back_to_work_while_s3_is_away(bench: Bench) -> None:
    job = bench.queue_job()

    class Away:
        def read(self, *_: Any) -> None:
            raise Transient("storage_unavailable")

    returned = Delivery(QUEUE, job.body, False, returned="delivery_limit")
    assert bench.dispatch(returned, wrap=lambda part: Away() if isinstance(part, Store) else part) == ["postponed"]
    bench.now += timedelta(seconds=LEASE)
    [delivery] = bench.waiting()
    assert (delivery.queue, delivery.returned, bench.record().state) == (QUEUE, "", "queued")
