"""Tests which event answers which subscription, on moto's S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from urlshot.adapters import subscription_store
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.store import Store
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core import events, records
from urlshot.core.errors import Broken, Transient
from urlshot.core.events import Detail
from urlshot.core.options import Options
from urlshot.core.records import CLOCKS, Record
from urlshot.core.render_contract import Report
from urlshot.core.subscriptions import Subscriber

ID, URL = "0caaf24ab1a0c33440c06afe99df986365b0781f", "https://example.com/"
ANNA = Subscriber(kind="callback", address="https://anna.example/hook")
BERT = Subscriber(kind="callback", address="https://bert.example/hook")
MAIL = Subscriber(kind="mail", address="anna@example.com")
NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def subs(store: Store) -> SubscriptionStore:
    return SubscriptionStore(store.bucket, s3_client())


def end(report: Report, at: datetime) -> Detail:
    """Returns the event of a job that ended at `at`."""
    record: Record = records.done(records.create(ID, URL, Options(), at - SECOND), report, at, SECOND)
    return events.detail(record, "bucket")


def ask(subs: SubscriptionStore, who: Subscriber, at: datetime) -> tuple[str, ...]:
    with subs.asking(ID, [who], at) as names:
        return names


def answered(subs: SubscriptionStore, event: Detail) -> list[str]:
    """Handles an event as `callback` does, and returns the addresses that it answers."""
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


def test_end_answers_every_subscriber_of_a_kind_once(subs: SubscriptionStore, report: Report, store: Store) -> None:
    for who in (ANNA, BERT, MAIL):
        ask(subs, who, NOON)
    event = end(report, NOON + SECOND)
    assert answered(subs, event) == [ANNA.address, BERT.address]
    assert answered(subs, event) == []  # the event is repeated
    assert [one.subscriber for one in subs.waiting(event, "mail")] == [MAIL]
    assert len(keys(store)) == 1


def test_subscriber_with_many_subscriptions_is_answered_once(
    subs: SubscriptionStore, report: Report, store: Store
) -> None:
    for second in range(5):
        ask(subs, ANNA, NOON + second * SECOND)
    assert len(keys(store)) == 5
    assert answered(subs, end(report, NOON + 10 * SECOND)) == [ANNA.address]
    assert keys(store) == []


def test_late_event_does_not_answer_a_subscription_to_a_newer_render(subs: SubscriptionStore, report: Report) -> None:
    older = end(report, NOON)
    ask(subs, ANNA, NOON + CLOCKS + SECOND)
    assert answered(subs, older) == []
    assert answered(subs, end(report, NOON + CLOCKS + 5 * SECOND)) == [ANNA.address]


def test_end_answers_subscriptions_from_before_its_announcement(subs: SubscriptionStore, report: Report) -> None:
    """The time of the end is set before the record is written. A slow write lets requests join meanwhile."""
    announced = end(report, NOON).model_copy(update={"answers_until": NOON + 40 * SECOND})
    ask(subs, ANNA, NOON + 39 * SECOND)
    ask(subs, BERT, NOON + 40 * SECOND + CLOCKS + SECOND)
    assert answered(subs, announced) == [ANNA.address]


def test_hit_answers_only_the_subscriptions_of_its_request(subs: SubscriptionStore, report: Report) -> None:
    ask(subs, ANNA, NOON)  # waits for a new render
    names = ask(subs, BERT, NOON + SECOND)  # hits the PDF that exists
    hit = events.cached(ID, URL, "bucket", NOON + SECOND, report, only=names)
    assert hit.audience == "subscribers"
    assert answered(subs, hit) == [BERT.address]
    assert answered(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_hit_leaves_an_earlier_subscription_of_the_same_subscriber(subs: SubscriptionStore, report: Report) -> None:
    ask(subs, ANNA, NOON)
    names = ask(subs, ANNA, NOON + SECOND)
    assert answered(subs, events.cached(ID, URL, "bucket", NOON + SECOND, report, only=names)) == [ANNA.address]
    assert answered(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_event_repeated_for_amqp_clients_answers_no_subscriber(subs: SubscriptionStore, report: Report) -> None:
    ask(subs, ANNA, NOON)
    assert answered(subs, events.cached(ID, URL, "bucket", NOON + SECOND, report)) == []
    assert answered(subs, events.announced_again(end(report, NOON + SECOND))) == []


def test_repeated_failure_answers_a_new_subscription_at_any_age(subs: SubscriptionStore, report: Report) -> None:
    failed = end(report, NOON)
    names = ask(subs, ANNA, NOON + CLOCKS + 10 * SECOND)
    again = events.announced_again(failed, only=names)
    assert answered(subs, again) == [ANNA.address]


def test_refused_request_withdraws_only_its_own_subscriptions(
    subs: SubscriptionStore, report: Report, store: Store
) -> None:
    ask(subs, ANNA, NOON)

    def refuse() -> None:
        assert len(keys(store)) == 3
        raise Transient("queue_unavailable")

    with pytest.raises(Transient), subs.asking(ID, [ANNA, MAIL], NOON + SECOND):
        refuse()
    assert len(keys(store)) == 1
    assert answered(subs, end(report, NOON + 2 * SECOND)) == [ANNA.address]


def test_subscription_made_while_another_is_answered_survives(
    subs: SubscriptionStore, report: Report, store: Store
) -> None:
    ask(subs, ANNA, NOON)
    event = end(report, NOON + SECOND)
    [waiting] = subs.waiting(event, "callback")
    left = subs.still_waiting(event, waiting.subscriber)
    names = ask(subs, ANNA, NOON + SECOND)  # between the read and the deletion
    subs.delete(left)
    assert keys(store) == [f"sub/{ID}/{names[0]}.json"]


def test_subscription_withdrawn_while_they_are_read_is_left_out(
    subs: SubscriptionStore, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(subs, ANNA, NOON)
    ask(subs, BERT, NOON)
    read = subs._read

    def late(subscription: subscription_store.Subscription) -> Subscriber | None:
        if subscription.hash == ANNA.hash:
            subs.delete([subscription])
        return read(subscription)

    monkeypatch.setattr(subs, "_read", late)
    assert [one.subscriber for one in subs.waiting(end(report, NOON + SECOND), "callback")] == [BERT]


def test_delete_all_removes_the_subscriptions_of_one_job_only(
    subs: SubscriptionStore, report: Report, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_store, "_PAGE", 2)
    for _ in range(5):
        ask(subs, ANNA, NOON)
    with subs.asking(ID[:32], [ANNA], NOON):
        pass
    subs.delete_all(ID)
    assert [key.split("/")[1] for key in keys(store)] == [ID[:32]]


def test_lists_are_paged_and_bounded(subs: SubscriptionStore, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_store, "_PAGE", 2)
    monkeypatch.setattr(subscription_store, "_PAGES", 3)
    many = [Subscriber(kind="callback", address=f"https://{n}.example/") for n in range(7)]
    for who in many[:6]:
        ask(subs, who, NOON)
    event = end(report, NOON + SECOND)
    assert {one.subscriber.address for one in subs.waiting(event, "callback")} == {who.address for who in many[:6]}
    ask(subs, many[6], NOON)
    with pytest.raises(Broken):
        subs.waiting(event, "callback")


def test_missing_bucket_raises_a_urlshot_error(aws: str) -> None:
    with pytest.raises((Transient, Broken)), SubscriptionStore("no-such-bucket", s3_client()).asking(ID, [ANNA], NOON):
        pass
