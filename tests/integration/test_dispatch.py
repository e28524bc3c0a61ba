"""Tests dispatch from the delivery of a message to the hand-over, on RabbitMQ and moto's S3 and EventBridge."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from functions.dispatch.batch import Delivery
from functions.dispatch.pool import SlotPool, reserved
from tests.bypasses import BYPASSES
from tests.integration.conftest import DELAYS, LEASE, Broker
from tests.integration.workbench import ID, URL, Bench
from urlshot.adapters.slots import Free
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Broken, Transient
from urlshot.core.messages import DEAD, QUEUE, QUEUE_BULK, delay_queue, stripped
from urlshot.core.options import Options
from urlshot.core.render_contract import Report

SECOND = timedelta(seconds=1)
LEASED = timedelta(seconds=LEASE)
LEASE_QUEUE = delay_queue(QUEUE, LEASE)
SHORTEST = delay_queue(QUEUE, DELAYS[0])


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    return Bench(store, broker)


def change(bench: Bench, record: records.Record) -> None:
    """Replaces the job's record."""
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(record, found[1])


# ---- hand-over -----------------------------------------------------------------------------------------------------


def test_job_is_claimed_handed_over_and_parked_for_its_lease(bench: Bench) -> None:
    delivery = bench.queue_job()
    assert bench.dispatch(delivery) == ["handed over"]
    record, [job] = bench.record(), bench.jobs
    assert (record.state, record.attempt, record.lease_until) == ("running", 1, bench.now + LEASED)
    assert (job.id, job.generation, job.claim) == (ID, record.generation, record.claim)
    assert (job.lease_until, job.url) == (record.lease_until, URL)
    assert job.phases.keys() == {"queue", "wait"}
    assert bench.slots_free() == bench.renders - 1
    assert json.loads(bench.next(LEASE_QUEUE).body) == json.loads(delivery.body)
    assert bench.waiting() == []


def test_render_may_upload_one_key_until_the_end_of_its_lease(bench: Bench) -> None:
    bench.dispatch(bench.queue_job())
    [job] = bench.jobs
    assert job.upload is not None
    form = json.loads(base64.b64decode(job.upload.fields["policy"]))
    assert {"key": f"upload/{ID}/{job.claim}.pdf"} in form["conditions"]
    assert {"bucket": bench.store.bucket} in form["conditions"]
    assert {"Content-Type": "application/pdf"} in form["conditions"]
    assert ["content-length-range", 1, job.limits.pdf_bytes] in form["conditions"]
    assert not any("starts-with" in condition for condition in form["conditions"])
    assert timedelta(0) < datetime.fromisoformat(form["expiration"]) - records.now() <= LEASED


def test_slot_is_given_back_only_with_its_etag(bench: Bench) -> None:
    bench.dispatch(bench.queue_job())
    [job] = bench.jobs
    assert job.slot is not None
    bench.slots().give_back(job.slot.model_copy(update={"etag": '"another"'}))
    assert bench.slots_free() == bench.renders - 1
    bench.slots().give_back(job.slot)
    bench.slots().give_back(job.slot)  # the second call changes nothing
    assert bench.slots_free() == bench.renders


def test_largest_job_and_report_fit_into_one_event_of_a_destination(bench: Bench) -> None:
    """Lambda gives job and report to settle in one event of at most 1 MB; until October 2025 the limit was 256 kB."""
    from tests.largest import LARGEST_MESSAGE, LARGEST_REPORT

    record = records.create(LARGEST_MESSAGE.id, LARGEST_MESSAGE.url, LARGEST_MESSAGE.options, bench.now)
    bench.store.create(record)
    message = LARGEST_MESSAGE.model_copy(update={"generation": record.generation})
    assert bench.dispatch(Delivery(QUEUE, message.body(), False)) == ["handed over"]
    [job] = bench.jobs
    event = bench.rendered(job, LARGEST_REPORT.bounded())
    assert len(json.dumps(event)) < 200_000


def test_message_without_a_free_slot_is_parked_and_uses_no_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.dispatch.app.WAIT_SECONDS", 0.2)
    held = [bench.slots().take(Free(number)) for number in range(bench.renders)]
    delivery = bench.queue_job()
    assert bench.dispatch(delivery) == ["no slot"]
    assert (bench.record().state, bench.record().attempt, bench.jobs) == ("queued", 0, [])
    again = bench.next(SHORTEST)
    assert again.body == delivery.body
    assert held[2] is not None
    bench.slots().give_back(held[2])
    assert bench.dispatch(again) == ["handed over"]
    assert bench.jobs[0].slot is not None
    assert bench.jobs[0].slot.number == 2


def test_slot_of_a_dead_holder_is_free_after_its_lease(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.dispatch.app.WAIT_SECONDS", 0.2)
    for number in range(bench.renders):
        assert bench.slots().take(Free(number))
    delivery = bench.queue_job()
    assert bench.dispatch(delivery) == ["no slot"]
    bench.waiting()
    bench.pass_lease()
    assert bench.dispatch(delivery) == ["handed over"]


def test_batch_takes_each_slot_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.dispatch.app.WAIT_SECONDS", 0.3)
    bodies = [json.dumps({"url": f"{URL}{number}"}).encode() for number in range(7)]
    assert bench.dispatch(*(Delivery(QUEUE, body, False) for body in bodies)) == ["queued"] * 7
    outcomes = bench.dispatch(*bench.waiting(QUEUE))
    assert (outcomes.count("handed over"), outcomes.count("no slot")) == (4, 3)
    assert sorted(job.slot.number for job in bench.jobs if job.slot) == [0, 1, 2, 3]


def test_bulk_jobs_leave_the_reserved_slots_free(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.dispatch.app.WAIT_SECONDS", 0.3)
    bodies = [json.dumps({"url": f"{URL}{number}"}).encode() for number in range(5)]
    assert bench.dispatch(*(Delivery(QUEUE_BULK, body, False) for body in bodies)) == ["queued"] * 5
    outcomes = bench.dispatch(*bench.waiting(QUEUE_BULK))
    assert (outcomes.count("handed over"), outcomes.count("no slot")) == (3, 2)
    assert sorted(job.slot.number for job in bench.jobs if job.slot) == [1, 2, 3]
    assert bench.dispatch(bench.queue_job()) == ["handed over"]


@pytest.mark.parametrize(("slots", "expected"), [(1, 0), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (100, 25)])
def test_quarter_of_the_slots_is_reserved(slots: int, expected: int) -> None:
    assert reserved(slots) == expected


def test_batch_first_tries_the_slots_that_the_batch_before_left_free(bench: Bench) -> None:
    slots = bench.slots()
    assert SlotPool(slots, 0).left() is None
    held = [slots.take(Free(number)) for number in (0, 1)]
    seen = SlotPool(slots, time.monotonic() + 5)
    taken = seen.take("normal")
    assert taken is not None
    assert (taken.number, seen.left()) == (2, [Free(3)])
    # The second batch leaves no slot, so the third one lists the slots and finds the one that was given back.
    after = SlotPool(slots, time.monotonic() + 5, seen.left())
    last = after.take("normal")
    assert last is not None
    assert (last.number, after.left()) == (3, [])
    assert held[1] is not None
    slots.give_back(held[1])
    again = SlotPool(slots, time.monotonic() + 5, after.left()).take("normal")
    assert again is not None
    assert again.number == 1


def test_batch_passes_on_no_list_when_all_slots_are_free(bench: Bench) -> None:
    slots = bench.slots()
    wrong = SlotPool(slots, time.monotonic() + 5, [])
    assert wrong.left() == []
    assert wrong.take("normal") is not None
    assert wrong.left() is None


def test_pool_raises_when_s3_does_not_answer(bench: Bench) -> None:
    class Away:
        count = 4

        def take(self, free: Free) -> None:
            raise Transient("storage_unavailable")

    with pytest.raises(Transient):
        SlotPool(Away(), 0).take("normal")  # type: ignore[arg-type]


def test_record_changed_during_the_wait_for_a_slot_is_noticed(bench: Bench) -> None:
    """The slot is given back, and the new record decides what happens to the message."""
    delivery = bench.queue_job()

    class Overtaking:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._part, name)

        def take(self, free: Free) -> Any:
            newer = records.create(ID, URL, Options(), bench.now, over=bench.record())
            change(bench, records.queued(newer, bench.now))
            return self._part.take(free)

    wrap = lambda part: Overtaking(part) if hasattr(part, "list_free") else part  # noqa: E731
    assert bench.dispatch(delivery, wrap=wrap) == ["dropped"]
    assert bench.slots_free() == bench.renders
    assert (bench.record().state, bench.jobs) == ("queued", [])


def test_parked_message_is_not_left_when_its_slot_cannot_be_freed(bench: Bench) -> None:
    """A message that was parked and left would be there twice; the slot is free after its lease."""
    delivery = bench.queue_job()

    class Overtaken:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._part, name)

        def take(self, free: Free) -> Any:
            change(bench, records.running(bench.record(), LEASED, bench.now))
            return self._part.take(free)

        def give_back(self, _slot: Any) -> None:
            raise Transient("storage_unavailable")

    wrap = lambda part: Overtaken(part) if hasattr(part, "list_free") else part  # noqa: E731
    assert bench.dispatch(delivery, wrap=wrap) == ["parked"]
    assert len(bench.waiting()) == 1
    bench.pass_lease()
    assert bench.slots_free() == bench.renders


def test_throttled_invocation_uses_no_attempt(bench: Bench) -> None:
    delivery = bench.queue_job()
    bench.lambda_error = Transient("throttled", internal="TooManyRequestsException")
    assert bench.dispatch(delivery) == ["refused"]
    assert (bench.record().state, bench.record().attempt) == ("queued", 0)
    assert bench.slots_free() == bench.renders
    again = bench.next(SHORTEST)
    assert bench.waiting() == []  # the message is not parked for the lease as well
    bench.lambda_error = None
    assert bench.dispatch(again) == ["handed over"]


def test_rejected_invocation_fails_the_job(bench: Bench) -> None:
    delivery = bench.queue_job()
    bench.lambda_error = Broken("RequestTooLargeException")
    assert bench.dispatch(delivery) == ["failed"]
    record = bench.record()
    assert record.error is not None
    assert (record.state, record.error["code"], record.announced) == ("failed", "internal", True)
    assert bench.slots_free() == bench.renders
    assert bench.waiting() == []
    [event] = bench.events()
    assert event["detail-type"] == "ShotFailed"


# ---- messages that start no render ---------------------------------------------------------------------------------


def test_duplicate_is_parked_until_the_end_of_the_lease(bench: Bench) -> None:
    delivery = bench.queue_job()
    bench.dispatch(delivery)
    bench.waiting()
    bench.now += LEASED - DELAYS[1] * SECOND
    assert bench.dispatch(delivery) == ["parked"]
    bench.next(delay_queue(QUEUE, DELAYS[1]))  # the shortest delay that outlasts the rest of the lease
    assert len(bench.jobs) == 1


def test_job_waiting_for_its_next_attempt_is_not_rendered_early(bench: Bench) -> None:
    delivery = bench.queue_job()
    change(bench, records.waiting(bench.record().with_(attempt=1), 2 * SECOND, bench.now))
    assert bench.dispatch(delivery) == ["parked"]
    again = bench.next(delay_queue(QUEUE, 2))
    bench.now += 2 * SECOND
    assert bench.dispatch(again) == ["handed over"]


def test_parked_message_replaces_a_claim_whose_lease_is_over(bench: Bench) -> None:
    bench.dispatch(bench.queue_job())
    parked, first = bench.next(LEASE_QUEUE), bench.record().claim
    bench.now += LEASED
    assert bench.dispatch(parked) == ["handed over"]
    assert (bench.record().attempt, bench.record().claim != first) == (2, True)


def test_job_without_an_answer_to_any_attempt_fails_and_is_dead_lettered(bench: Bench) -> None:
    delivery = bench.queue_job()
    for _ in range(3):
        assert bench.dispatch(delivery) == ["handed over"]
        delivery = bench.next(LEASE_QUEUE)
        bench.now += LEASED
    assert bench.dispatch(delivery) == ["failed"]
    [event] = bench.events()
    assert event["detail"]["error"]["code"] == "crash"
    [dead] = bench.broker.take(DEAD)
    assert json.loads(dead.body) == {"url": URL, "options": {}}


def test_job_that_waits_for_a_day_fails(bench: Bench) -> None:
    delivery = bench.queue_job()
    bench.now += timedelta(hours=24)
    assert bench.dispatch(delivery) == ["failed"]
    [event] = bench.events()
    assert (event["detail"]["error"]["code"], event["detail"]["error"]["retryable"]) == ("overloaded", True)
    assert bench.completions() == [event["detail"]]


def test_parked_message_announces_an_end_that_was_not_announced(bench: Bench, report: Report) -> None:
    delivery = bench.queue_job()
    change(bench, records.done(bench.record(), report, bench.now, LEASED))
    assert bench.dispatch(delivery) == ["done"]
    assert bench.record().announced
    [event] = bench.events()
    assert event["detail"]["event_key"] == f"{ID}:{bench.record().generation}:done"
    assert bench.dispatch(delivery) == ["dropped"]
    assert bench.events() == []


@pytest.mark.parametrize(
    "change_of",
    [
        {"url": "https://evil.example/"},
        {"options": {"css": "body { display: none }"}},
        {"requested_at": "2001-01-01T00:00:00Z"},
    ],
)
def test_message_cannot_change_the_page_of_its_job(bench: Bench, change_of: dict[str, Any]) -> None:
    """The record decides: otherwise another page could be stored where everybody who asks for the URL gets it."""
    delivery = bench.queue_job()
    before = bench.record()
    forged = json.dumps({**json.loads(delivery.body), **change_of}).encode()
    assert bench.dispatch(replace(delivery, body=forged)) == ["handed over"]
    [job] = bench.jobs
    assert (job.url, job.options) == (URL, Options())
    assert bench.record().requested_at == before.requested_at


def test_message_of_an_older_generation_is_dropped(bench: Bench) -> None:
    delivery = bench.queue_job()
    newer = records.create(ID, URL, Options(), bench.now, over=bench.record())
    change(bench, records.queued(newer, bench.now))
    assert bench.dispatch(delivery) == ["dropped"]
    assert (bench.jobs, bench.waiting()) == ([], [])


def test_message_of_an_older_generation_continues_a_job_whose_publisher_died(bench: Bench) -> None:
    delivery = bench.queue_job()
    newer = records.create(ID, URL, Options(), bench.now, over=bench.record())
    change(bench, newer)
    assert bench.dispatch(delivery) == ["parked"]
    assert bench.jobs == []
    bench.now += records.PUBLISH_LEASE
    assert bench.dispatch(bench.next(LEASE_QUEUE)) == ["handed over"]
    assert [job.generation for job in bench.jobs] == [newer.generation]


def test_message_of_a_deleted_job_deletes_the_pdf_of_its_generation(bench: Bench) -> None:
    delivery = bench.queue_job()
    generation = bench.record().generation
    bench.delete()
    for owner, expected in (("another", b"x"), (generation, None)):
        boto3.client("s3").put_object(
            Bucket=bench.store.bucket, Key=f"pdf/{ID}.pdf", Body=b"x", Metadata={"generation": owner, "claim": "c"}
        )
        assert bench.dispatch(delivery) == ["dropped"]
        assert bench.pdf() == expected


@pytest.mark.parametrize("source", ["pdf", "page"])
def test_last_message_restores_a_pdf_that_the_delete_of_an_equal_one_removed(
    bench: Bench, report: Report, source: str
) -> None:
    delivery = bench.queue_job()
    bench.dispatch(delivery)
    [job] = bench.jobs
    assert bench.settle(bench.rendered(job, report.model_copy(update={"source": source}), b"%PDF served")) == "done"
    boto3.client("s3").delete_object(Bucket=bench.store.bucket, Key=f"pdf/{ID}.pdf")
    assert bench.dispatch(bench.next(LEASE_QUEUE)) == ["dropped"]
    assert bench.pdf() == (b"%PDF served" if source == "pdf" else None)


# ---- bare messages and invalid messages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "invalid_json"),
        (b"{}", "invalid_request"),
        (b'{"url": "ftp://x/"}', "unsupported_scheme"),
        (b'{"url": "http://127.0.0.1/"}', "blocked_target"),
        (b'{"url": "\\ud800"}', "invalid_url"),  # a lone surrogate, which no text in UTF-8 can have
        (b'{"url": "https://example.com/\\udfff"}', "invalid_url"),
        (b'{"url": "\\ud83d://example.com/"}', "invalid_url"),
        (b'{"url": "https://example.com/", "options": {"\\ud800": 1}}', "invalid_request"),
        (b'{"url": "https://example.com/", "options": {"css": "\\ud800"}}', "invalid_request"),
        (b'{"url": "https://example.com/", "priority": "\\ud800"}', "invalid_request"),
        (b'{"url": "https://example.com/", "private": {"headers": {"\\ud800": "x"}}}', "invalid_request"),
        (b'{"url": "https://example.com/", "options": {"scale": 7}}', "invalid_request"),
    ],
)
def test_invalid_message_is_dead_lettered_with_its_reason(bench: Bench, body: bytes, code: str) -> None:
    assert bench.dispatch(Delivery(QUEUE, body, False, "theirs")) == ["dead"]
    [announced] = bench.broker.take(bench._completions)
    failure = json.loads(announced.body)
    assert (failure["error"]["code"], failure["id"], announced.properties["correlation_id"]) == (code, None, "theirs")
    [dead] = bench.broker.take(DEAD)
    assert (dead.body.encode() if isinstance(dead.body, str) else dead.body) == stripped(body)
    assert json.loads(dead.headers["reason"])["code"] == code
    assert bench.jobs == []


def test_published_bypasses_in_messages_are_dead_lettered_with_their_reasons(bench: Bench) -> None:
    sent = [
        Delivery(QUEUE, json.dumps({"url": url}).encode(), False, correlation_id=name)
        for name, (url, _) in BYPASSES.items()
    ]
    assert bench.dispatch(*sent) == ["dead"] * len(BYPASSES)
    announced = bench.broker.take(bench._completions)
    codes = {one.properties["correlation_id"]: json.loads(one.body)["error"]["code"] for one in announced}
    assert codes == {name: code for name, (_, code) in BYPASSES.items()}
    assert (bench.jobs, bench.waiting()) == ([], [])


@pytest.mark.parametrize(
    ("through", "more", "to"),
    [
        (QUEUE, {}, QUEUE),
        (QUEUE, {"priority": "bulk"}, QUEUE_BULK),
        (QUEUE_BULK, {}, QUEUE_BULK),
        (QUEUE_BULK, {"priority": "normal"}, QUEUE),
    ],
)
def test_bare_message_becomes_a_job_of_its_priority(bench: Bench, through: str, more: dict[str, str], to: str) -> None:
    body = json.dumps({"url": "https://EXAMPLE.com", **more}).encode()
    assert bench.dispatch(Delivery(through, body, False)) == ["queued"]
    job = bench.next(to)
    assert bench.dispatch(job) == ["handed over"]
    assert bench.record().url == URL


def test_bare_message_joins_an_existing_job(bench: Bench) -> None:
    bench.queue_job()
    assert bench.dispatch(Delivery(QUEUE, b'{"url": "https://example.com/"}', False)) == ["joined"]
    assert bench.broker.take(QUEUE) == []


def test_bare_message_for_an_existing_pdf_is_answered_immediately(bench: Bench, report: Report) -> None:
    bench.dispatch(bench.queue_job())
    bench.settle(bench.rendered(bench.jobs[0], report))
    [first], _ = bench.events(), bench.completions()
    bare = Delivery(QUEUE, b'{"url": "https://example.com/"}', False, correlation_id="theirs")
    assert bench.dispatch(bare) == ["hit"]
    [event] = bench.events()
    assert (event["detail-type"], event["detail"]["cached"]) == ("ShotCompleted", True)
    assert event["detail"]["event_key"] != first["detail"]["event_key"]
    assert event["detail"]["report"]["pages"] == 1
    assert bench.completions() == [event["detail"]]


# ---- batches -------------------------------------------------------------------------------------------------------


def test_redelivered_message_is_handled_after_the_others(bench: Bench) -> None:
    job = replace(bench.queue_job(), redelivered=True)
    assert bench.dispatch(job, Delivery(QUEUE, b"x", False)) == ["dead", "handed over"]


def test_redelivered_message_is_postponed_when_too_little_time_is_left(bench: Bench) -> None:
    job = replace(bench.queue_job(), redelivered=True)
    [handled] = bench.dispatcher().handle([job], lambda: 1.0)
    assert handled.outcome == "postponed"
    assert bench.next(SHORTEST).body == job.body


def test_message_that_cannot_be_parked_stays_in_its_queue(bench: Bench) -> None:
    class Away:
        def __init__(self, part: Any) -> None:
            self._part = part

        def publish(self, *_: Any, **__: Any) -> None:
            raise Transient("queue_unavailable")

    wrap = lambda part: Away(part) if hasattr(part, "publish") else part  # noqa: E731
    delivery = bench.queue_job()
    assert bench.dispatch(delivery, wrap=wrap) == ["left"]
    assert bench.record().state == "running"  # render has the job; its redelivered message waits for the lease
    assert bench.dispatch(delivery) == ["parked"]
