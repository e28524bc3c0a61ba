"""Tests that all requests for an id share one job, with S3 calls to moto and publishes to RabbitMQ."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import API, LEASE, Broker
from urlshot.adapters.broker import Publisher
from urlshot.adapters.secrets import Credentials
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Transient
from urlshot.core.identity import job_id
from urlshot.core.messages import FAILED, QUEUE, QUEUE_BULK, QUEUES, Priority
from urlshot.core.options import Options
from urlshot.lifecycle.accept import Acceptor, Outcome, Request

URL = "https://example.com/"
ID = job_id(URL, {})
PATIENCE = 20.0
LEASED = timedelta(seconds=LEASE)


def ask(max_age: int = 600, at: datetime | None = None) -> Request:
    return Request(ID, URL, Options(), max_age, at or records.now())


def state(store: Store) -> records.Record:
    found = store.read(ID)
    assert found is not None
    return found[0]


def write(store: Store, record: records.Record) -> records.Record:
    """Writes a record unconditionally."""
    store._s3.put_object(Bucket=store.bucket, Key=f"job/{record.id}.json", Body=record.model_dump_json().encode())
    return record


def test_miss_makes_a_record_and_a_persistent_message(acceptor: Acceptor, store: Store, broker: Broker) -> None:
    accepted = acceptor.accept(ask(), PATIENCE)
    assert accepted.outcome is Outcome.QUEUED
    record = state(store)
    assert (record.state, record.attempt, record.url) == ("queued", 0, URL)
    [message] = broker.take(QUEUE)
    body = json.loads(message.body)
    assert (body["id"], body["generation"], body["url"]) == (ID, record.generation, URL)
    properties = message.properties
    assert (properties["message_id"], properties["type"], properties["delivery_mode"]) == (ID, "url_shot", 2)


def test_fresh_pdf_is_a_hit_and_publishes_nothing(
    acceptor: Acceptor, store: Store, broker: Broker, put_pdf: Callable[[str], None]
) -> None:
    put_pdf(ID)
    accepted = acceptor.accept(ask(), PATIENCE)
    assert accepted.outcome is Outcome.HIT
    assert accepted.pdf is not None
    assert accepted.pdf.bytes == 8
    assert store.read(ID) is None
    assert broker.take(QUEUE) == []


def test_pdf_that_is_too_old_is_made_again(acceptor: Acceptor, broker: Broker, put_pdf: Callable[[str], None]) -> None:
    put_pdf(ID)
    later = records.now() + timedelta(seconds=700)
    assert acceptor.accept(ask(max_age=600, at=later), PATIENCE).outcome is Outcome.QUEUED
    assert len(broker.take(QUEUE)) == 1


@pytest.mark.parametrize("max_age", [600, 0])
def test_hundred_concurrent_requests_make_one_message(
    acceptor: Acceptor, store: Store, broker: Broker, max_age: int
) -> None:
    acceptors = [Acceptor(store, broker.publisher(API)) for _ in range(8)]
    gate = threading.Barrier(50)

    def one(number: int) -> Outcome:
        if number < 50:
            gate.wait(10)
        return acceptors[number % 8].accept(ask(max_age), PATIENCE).outcome

    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(one, range(100)))
    assert outcomes.count(Outcome.QUEUED) == 1
    assert outcomes.count(Outcome.JOINED) == 99
    assert len(broker.take(QUEUE)) == 1


def test_job_with_an_expired_lease_is_taken_over_by_exactly_one_request(store: Store, broker: Broker) -> None:
    old = records.create(ID, URL, Options(), records.now() - timedelta(hours=3))
    write(store, records.running(old, timedelta(0), records.now() - timedelta(hours=2)))
    acceptors = [Acceptor(store, broker.publisher(API)) for _ in range(8)]
    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(lambda number: acceptors[number % 8].accept(ask(), PATIENCE).outcome, range(20)))
    assert outcomes.count(Outcome.QUEUED) == 1
    [message] = broker.take(QUEUE)
    assert json.loads(message.body)["generation"] == state(store).generation != old.generation


def test_request_takes_over_from_a_dead_publisher_after_its_lease(
    store: Store, broker: Broker, acceptor: Acceptor
) -> None:
    dead = records.create(ID, URL, Options(), records.now())
    write(store, dead.with_(lease_until=records.now() + timedelta(seconds=1)))
    assert acceptor.accept(ask(), PATIENCE).outcome is Outcome.QUEUED
    assert records.now() >= dead.requested_at + timedelta(seconds=1)
    assert len(broker.take(QUEUE)) == 1


def test_request_that_runs_out_of_patience_is_refused_as_busy(store: Store, acceptor: Acceptor) -> None:
    write(store, records.create(ID, URL, Options(), records.now()))
    with pytest.raises(Transient, match="busy"):
        acceptor.accept(ask(), patience=0.2)


def test_job_that_the_broker_did_not_take_is_replaced_by_the_next_request(
    store: Store, broker: Broker, acceptor: Acceptor
) -> None:
    away = Acceptor(store, Publisher("amqp://127.0.0.1:1", lambda: API))
    with pytest.raises(Transient, match="queue_unavailable"):
        away.accept(ask(), PATIENCE)
    record = state(store)
    assert (record.state, record.error and record.error["code"]) == ("failed", "queue_unavailable")
    assert acceptor.accept(ask(), PATIENCE).outcome is Outcome.QUEUED
    assert state(store).generation != record.generation
    assert len(broker.take(QUEUE)) == 1


def test_wrong_password_is_reported_as_queue_unavailable(store: Store, broker: Broker) -> None:
    locked_out = Acceptor(store, broker.publisher(Credentials("urlshot_api", "wrong")))
    with pytest.raises(Transient, match="queue_unavailable"):
        locked_out.accept(ask(), PATIENCE)
    assert state(store).state == "failed"


def test_unroutable_message_is_an_error(store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urlshot.lifecycle.accept.START_KEYS", {"normal": "shot_direct.unbound"})
    with pytest.raises(Transient, match="queue_unavailable"):
        Acceptor(store, broker.publisher(API)).accept(ask(), PATIENCE)
    assert state(store).state == "failed"


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_priority_decides_the_queue(acceptor: Acceptor, store: Store, broker: Broker, priority: Priority) -> None:
    assert acceptor.accept(replace(ask(), priority=priority), PATIENCE).outcome is Outcome.QUEUED
    assert state(store).priority == priority
    assert [len(broker.take(QUEUES[one])) for one in ("normal", "bulk")] == [priority == "normal", priority == "bulk"]


def test_normal_request_moves_a_bulk_job_forward(acceptor: Acceptor, store: Store, broker: Broker) -> None:
    acceptor.accept(replace(ask(), priority="bulk"), PATIENCE)
    generation = state(store).generation
    for _ in range(2):  # the second request finds the job moved
        assert acceptor.accept(ask(), PATIENCE).outcome is Outcome.JOINED
    assert (state(store).state, state(store).priority, state(store).generation) == ("queued", "normal", generation)
    [message] = broker.take(QUEUE)
    assert json.loads(message.body)["generation"] == generation
    assert len(broker.take(QUEUE_BULK)) == 1


def test_bulk_request_does_not_move_a_job(acceptor: Acceptor, broker: Broker) -> None:
    acceptor.accept(ask(), PATIENCE)
    assert acceptor.accept(replace(ask(), priority="bulk"), PATIENCE).outcome is Outcome.JOINED
    assert (len(broker.take(QUEUE)), len(broker.take(QUEUE_BULK))) == (1, 0)


def test_job_that_cannot_be_moved_stays_in_its_queue(acceptor: Acceptor, store: Store, broker: Broker) -> None:
    acceptor.accept(replace(ask(), priority="bulk"), PATIENCE)
    away = Acceptor(store, Publisher("amqp://127.0.0.1:1", lambda: API))
    assert away.accept(ask(), PATIENCE).outcome is Outcome.JOINED
    assert len(broker.take(QUEUE_BULK)) == 1


@pytest.mark.parametrize("end", ["done", "failed"])
def test_ended_job_is_not_replaced_before_its_end_is_announced(
    store: Store, acceptor: Acceptor, put_pdf: Callable[[str], None], report: Any, end: str
) -> None:
    put_pdf(ID)
    record = records.create(ID, URL, Options(), records.now() - timedelta(seconds=10))
    at = records.now() - timedelta(seconds=5)
    ended = (
        records.done(record, report, at, LEASED)
        if end == "done"
        else records.failed(record, {"code": "page_status", "retryable": False}, at, LEASED)
    )
    write(store, ended)
    assert acceptor.accept(ask(max_age=0), PATIENCE).outcome is (Outcome.HIT if end == "done" else Outcome.FAILED)
    write(store, ended.with_(announced=True))
    assert acceptor.accept(ask(max_age=0), PATIENCE).outcome is Outcome.QUEUED


def test_message_may_overtake_its_own_record(store: Store, broker: Broker) -> None:
    class Overtaken(Publisher):
        def publish(self, *args: Any, **more: Any) -> None:
            super().publish(*args, **more)
            found = store.read(ID)
            assert found is not None
            store.change(records.running(found[0], timedelta(seconds=60), records.now()), found[1])

    accepted = Acceptor(store, Overtaken(broker.url, lambda: API)).accept(ask(), PATIENCE)
    assert accepted.outcome is Outcome.QUEUED
    assert accepted.record is not None
    assert accepted.record.state == "running"
    assert state(store).state == "running"


def test_publisher_that_lost_its_job_joins_the_new_one(store: Store, broker: Broker, acceptor: Acceptor) -> None:
    class Slow(Publisher):
        def publish(self, *args: Any, **more: Any) -> None:
            found = store.read(ID)
            assert found is not None
            write(store, found[0].with_(lease_until=records.now() - timedelta(seconds=1)))
            assert acceptor.accept(ask(), PATIENCE).outcome is Outcome.QUEUED
            super().publish(*args, **more)

    accepted = Acceptor(store, Slow(broker.url, lambda: API)).accept(ask(), PATIENCE)
    assert accepted.outcome is Outcome.JOINED
    assert accepted.record == state(store)
    generations = [json.loads(message.body)["generation"] for message in broker.take(QUEUE)]
    assert generations[0] == state(store).generation  # dispatch drops the other message, of an old generation


def test_write_whose_answer_was_lost_is_recognised(
    store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK repeats the conditional write, and S3 refuses the repetition because the first write succeeded."""
    client = store._s3
    put = client.put_object

    def put_twice(**arguments: Any) -> Any:
        put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(client, "put_object", put_twice)
    assert Acceptor(store, broker.publisher(API)).accept(ask(), PATIENCE).outcome is Outcome.QUEUED
    assert state(store).state == "queued"
    assert len(broker.take(QUEUE)) == 1


@pytest.mark.parametrize(("max_age", "outcome"), [(600, Outcome.FAILED), (0, Outcome.QUEUED)])
def test_recent_failure_answers_requests_that_want_no_new_render(
    store: Store, broker: Broker, acceptor: Acceptor, max_age: int, outcome: Outcome
) -> None:
    record = records.create(ID, URL, Options(), records.now())
    write(
        store,
        records.failed(record, {"code": "page_status", "retryable": False}, records.now(), LEASED).with_(
            announced=True
        ),
    )
    assert acceptor.accept(ask(max_age), PATIENCE).outcome is outcome


def test_render_that_ended_after_the_request_counts_as_new(
    store: Store, broker: Broker, acceptor: Acceptor, put_pdf: Callable[[str], None], report: Any
) -> None:
    asked = records.now()
    put_pdf(ID)
    record = records.create(ID, URL, Options(), asked)
    write(store, records.done(record, report, records.now(), LEASED).with_(announced=True))
    assert acceptor.accept(ask(max_age=0, at=asked), PATIENCE).outcome is Outcome.HIT
    assert acceptor.accept(ask(max_age=0, at=records.now() + timedelta(seconds=1)), PATIENCE).outcome is Outcome.QUEUED
    last_good = state(store).last_good
    assert last_good is not None
    assert last_good.generation == record.generation


def test_done_job_whose_pdf_was_deleted_is_made_again(
    store: Store, broker: Broker, acceptor: Acceptor, report: Any
) -> None:
    record = records.create(ID, URL, Options(), records.now())
    write(store, records.done(record, report, records.now(), LEASED).with_(announced=True))
    assert acceptor.accept(ask(), PATIENCE).outcome is Outcome.QUEUED


def test_publisher_survives_a_lost_connection(broker: Broker) -> None:
    publisher = broker.publisher(API)
    publisher.publish("shot_direct", FAILED, b"{}", mandatory=False)
    publisher._channel.connection.transport.sock.close()  # type: ignore[union-attr]
    publisher.publish("shot_direct", "shot_direct.start", b'{"url": "x"}')
    assert [message.body for message in broker.take(QUEUE)] == [b'{"url": "x"}'] or broker.take(QUEUE)


def test_api_user_may_not_publish_past_the_exchange(broker: Broker) -> None:
    publisher = broker.publisher(API)
    with pytest.raises(Transient, match="queue_unavailable"):
        publisher.publish("", QUEUE, b"{}")  # directly into a queue
    assert broker.take(QUEUE) == []


def test_times_are_utc() -> None:
    assert records.now().tzinfo is UTC
