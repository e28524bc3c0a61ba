"""Subscriptions in storage: who is served by which event, whatever comes between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from urlshot import events, records, subscribers
from urlshot.errors import Broken, Transient
from urlshot.events import Detail
from urlshot.jobs import Report
from urlshot.options import Options
from urlshot.records import Record
from urlshot.s3 import s3_client
from urlshot.store import Store
from urlshot.subscribers import Subscribers
from urlshot.subscriptions import TOLERANCE, Subscriber

ID, URL = "0caaf24ab1a0c33440c06afe99df986365b0781f", "https://example.com/"
ANNA = Subscriber(kind="callback", address="https://anna.example/hook")
BERT = Subscriber(kind="callback", address="https://bert.example/hook")
MAIL = Subscriber(kind="mail", address="anna@example.com")
NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def subs(store: Store) -> Subscribers:
    return Subscribers(store.bucket, s3_client())


def end(report: Report, at: datetime) -> Detail:
    """The event of a job that ended at `at`."""
    record: Record = records.done(records.create(ID, URL, Options(), at - SECOND), report, at, SECOND)
    return events.detail(record, "bucket")


def ask(subs: Subscribers, who: Subscriber, at: datetime) -> tuple[str, ...]:
    with subs.asking(ID, [who], at) as names:
        return names


def told(subs: Subscribers, event: Detail) -> list[str]:
    """Serves an event as a consumer of callbacks does; the addresses that it told."""
    addresses = []
    for waiting in subs.waiting(event, "callback"):
        left = subs.still_waiting(event, waiting.subscriber)
        if left:
            addresses.append(waiting.subscriber.address)
            subs.delete(left)
    return sorted(addresses)


def keys(store: Store) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=store.bucket, Prefix="sub/").get("Contents", [])
    return [item["Key"] for item in found]


def test_an_end_serves_everyone_of_its_kind_and_then_nobody(subs: Subscribers, report: Report, store: Store) -> None:
    for who in (ANNA, BERT, MAIL):
        ask(subs, who, NOON)
    event = end(report, NOON + SECOND)
    assert told(subs, event) == [ANNA.address, BERT.address]
    assert told(subs, event) == []  # the event came again
    assert [one.subscriber for one in subs.waiting(event, "mail")] == [MAIL]
    assert len(keys(store)) == 1


def test_who_asks_any_number_of_times_is_told_once(subs: Subscribers, report: Report, store: Store) -> None:
    for second in range(5):
        ask(subs, ANNA, NOON + second * SECOND)
    assert len(keys(store)) == 5
    assert told(subs, end(report, NOON + 10 * SECOND)) == [ANNA.address]
    assert keys(store) == []


def test_a_late_event_of_an_older_generation_does_not_answer_who_wants_a_newer_one(
    subs: Subscribers, report: Report
) -> None:
    older = end(report, NOON)
    ask(subs, ANNA, NOON + TOLERANCE + SECOND)
    assert told(subs, older) == []
    assert told(subs, end(report, NOON + TOLERANCE + 5 * SECOND)) == [ANNA.address]


def test_who_read_the_record_just_before_it_ended_is_served_by_that_end(subs: Subscribers, report: Report) -> None:
    event = end(report, NOON)  # stamped; its write takes its time, and meanwhile somebody joins
    ask(subs, ANNA, NOON + TOLERANCE - SECOND)
    assert told(subs, event) == [ANNA.address]


def test_a_hit_is_told_to_who_hit_and_not_to_who_waits_for_a_newer_render(subs: Subscribers, report: Report) -> None:
    ask(subs, ANNA, NOON)  # with max_age 0, say
    names = ask(subs, BERT, NOON + SECOND)  # content with what is there
    hit = events.cached(ID, URL, "bucket", NOON + SECOND, report, only=names)
    assert hit.audience == "subscribers"
    assert told(subs, hit) == [BERT.address]
    assert told(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_a_hit_of_who_also_waits_leaves_him_waiting(subs: Subscribers, report: Report) -> None:
    ask(subs, ANNA, NOON)
    names = ask(subs, ANNA, NOON + SECOND)
    assert told(subs, events.cached(ID, URL, "bucket", NOON + SECOND, report, only=names)) == [ANNA.address]
    assert told(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_what_is_told_again_to_amqp_clients_answers_no_subscriber(subs: Subscribers, report: Report) -> None:
    ask(subs, ANNA, NOON)
    assert told(subs, events.cached(ID, URL, "bucket", NOON + SECOND, report)) == []
    assert told(subs, events.told_again(end(report, NOON + SECOND))) == []


def test_a_recent_failure_is_told_at_once_to_who_asks_however_old_it_is(subs: Subscribers, report: Report) -> None:
    failed = end(report, NOON)
    names = ask(subs, ANNA, NOON + TOLERANCE + 10 * SECOND)
    again = events.told_again(failed, only=names)
    assert told(subs, again) == [ANNA.address]


def test_a_refused_request_takes_back_its_own_subscription_and_not_that_of_an_accepted_one(
    subs: Subscribers, report: Report, store: Store
) -> None:
    ask(subs, ANNA, NOON)

    def refuse() -> None:
        assert len(keys(store)) == 3
        raise Transient("queue_unavailable")

    with pytest.raises(Transient), subs.asking(ID, [ANNA, MAIL], NOON + SECOND):
        refuse()
    assert len(keys(store)) == 1
    assert told(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_a_subscription_that_comes_while_one_is_served_survives(
    subs: Subscribers, report: Report, store: Store
) -> None:
    ask(subs, ANNA, NOON)
    event = end(report, NOON + SECOND)
    [waiting] = subs.waiting(event, "callback")
    left = subs.still_waiting(event, waiting.subscriber)
    names = ask(subs, ANNA, NOON + SECOND)  # between the read and the delete
    subs.delete(left)
    assert keys(store) == [f"sub/{ID}/{names[0]}.json"]


def test_a_subscription_that_is_taken_back_while_they_are_read_is_left_out(
    subs: Subscribers, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(subs, ANNA, NOON)
    ask(subs, BERT, NOON)
    read = subs._read

    def late(subscription: subscribers.Subscription) -> Subscriber | None:
        if subscription.hash == ANNA.hash:
            subs.delete([subscription])
        return read(subscription)

    monkeypatch.setattr(subs, "_read", late)
    assert [one.subscriber for one in subs.waiting(end(report, NOON + SECOND), "callback")] == [BERT]


def test_a_deleted_job_has_no_subscribers_and_others_keep_theirs(
    subs: Subscribers, report: Report, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "_PAGE", 2)
    for _ in range(5):
        ask(subs, ANNA, NOON)
    with subs.asking(ID[:32], [ANNA], NOON):
        pass
    subs.delete_all(ID)
    assert [key.split("/")[1] for key in keys(store)] == [ID[:32]]


def test_lists_are_paged_and_bounded(subs: Subscribers, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "_PAGE", 2)
    monkeypatch.setattr(subscribers, "_PAGES", 3)
    many = [Subscriber(kind="callback", address=f"https://{n}.example/") for n in range(7)]
    for who in many[:6]:
        ask(subs, who, NOON)
    event = end(report, NOON + SECOND)
    assert {one.subscriber.address for one in subs.waiting(event, "callback")} == {who.address for who in many[:6]}
    ask(subs, many[6], NOON)
    with pytest.raises(Broken):
        subs.waiting(event, "callback")


def test_a_bucket_that_is_not_there_is_an_error_of_ours(aws: str) -> None:
    with pytest.raises((Transient, Broken)), Subscribers("no-such-bucket", s3_client()).asking(ID, [ANNA], NOON):
        pass
