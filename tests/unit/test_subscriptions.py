"""The key of a subscription holds all of its data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core.subscriptions import Subscriber, Subscription, prefix

ID = "0caaf24ab1a0c33440c06afe99df986365b0781f"
ANNA = Subscriber(kind="callback", address="https://anna.example/hook")

times = st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(times, st.sampled_from(["callback", "mail"]), st.text(max_size=20))
def test_key_holds_the_whole_subscription(at: datetime, kind: str, address: str) -> None:
    subscriber = Subscriber.model_validate({"kind": kind, "address": address})
    subscription = Subscription.of(ID, subscriber, at)
    assert Subscription.parse(subscription.key) == subscription
    assert abs(subscription.asked_at - at) < timedelta(milliseconds=1)
    assert subscription.key.startswith(prefix(ID, subscriber.kind, subscriber.hash))
    assert len(subscription.key) < 200


def test_two_requests_have_two_keys_and_one_hash() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    one, other = Subscription.of(ID, ANNA, at), Subscription.of(ID, ANNA, at)
    assert one.hash == other.hash
    assert one.key != other.key


def test_kind_is_part_of_the_hash() -> None:
    assert ANNA.hash != Subscriber(kind="mail", address=ANNA.address).hash


@pytest.mark.parametrize("key", ["sub/", f"sub/{ID}/x.json", f"job/{ID}.json", f"sub/{ID}/callback-abc-1-2.json"])
def test_other_key_is_no_subscription(key: str) -> None:
    assert Subscription.parse(key) is None
