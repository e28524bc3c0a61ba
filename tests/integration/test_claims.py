"""Tests that claims let each event, and each subscription, be sent once, over moto's S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from urlshot.adapters.claims import Busy, Claims, Once
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.store import Store
from urlshot.core.errors import Transient
from urlshot.core.records import CLOCKS

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECONDS = 20.0


class Bench:
    """Consumers of one recipient, with a clock that a test sets."""

    def __init__(self, store: Store) -> None:
        self.bucket = store.bucket
        self.now = NOON
        self.sent: list[str] = []

    def once(self, event: str, *names: str, s3: Any = None, fails: BaseException | None = None) -> Once[str]:
        def send() -> str:
            if fails is not None:
                raise fails
            self.sent.append(event)
            return "sent"

        claims = Claims(self.bucket, s3 or s3_client(), lambda: self.now)
        return claims.once("mail/somebody", f"id:{event}:done", names, SECONDS, send)


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b")])
def test_event_is_sent_once(bench: Bench, names: tuple[str, ...]) -> None:
    assert bench.once("one", *names) == Once("sent", frozenset(names))
    assert bench.once("one", *names) == Once(None, frozenset(names))
    assert bench.sent == ["one"]


def test_recipient_of_all_events_gets_each(bench: Bench) -> None:
    for event in ("one", "two", "one"):
        bench.once(event)
    assert bench.sent == ["one", "two"]


def test_subscription_is_answered_by_one_event(bench: Bench) -> None:
    bench.once("one", "a", "b")
    assert bench.once("two", "a") == Once(None, frozenset("a"))
    assert bench.sent == ["one"]


def test_event_answers_the_subscriptions_that_others_have_left(bench: Bench) -> None:
    bench.once("one", "a")
    assert bench.once("two", "a", "b") == Once("sent", frozenset("ab"))
    assert bench.once("two", "b") == Once(None, frozenset("ab"))
    assert bench.sent == ["one", "two"]


def test_repeated_event_leaves_later_subscriptions(bench: Bench) -> None:
    bench.once("one", "a")
    assert bench.once("one", "a", "b") == Once(None, frozenset("a"))
    assert bench.once("one", "b") == Once(None, frozenset("a"))
    assert bench.once("two", "b") == Once("sent", frozenset("b"))


def test_subscription_that_was_withdrawn_is_not_answered(bench: Bench) -> None:
    with pytest.raises(RuntimeError):
        bench.once("one", "a", fails=RuntimeError("refused"))
    assert bench.once("one", "b") == Once(None, frozenset())
    assert bench.sent == []


def test_failed_sending_is_tried_again_and_is_not_ambiguous(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="refused"):
        bench.once("one", "a", fails=RuntimeError("refused"))
    assert bench.once("one", "a") == Once("sent", frozenset("a"))


def test_claim_of_a_dead_consumer_ends_with_its_function(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.once("one", "a", fails=KeyboardInterrupt())
    bench.now += timedelta(seconds=SECONDS) + CLOCKS - timedelta(milliseconds=1)
    for event in ("one", "two"):
        with pytest.raises(Busy):
            bench.once(event, "a")
    bench.now += timedelta(milliseconds=1)
    assert bench.once("one", "a") == Once("sent", frozenset("a"), ambiguous=True)


def test_hits_of_one_recipient_do_not_wait_for_each_other(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.once("one", "a", fails=KeyboardInterrupt())
    assert bench.once("two", "b") == Once("sent", frozenset("b"))


class Repeating:
    """An S3 client whose SDK sends each write twice, because the first answer is lost."""

    def __init__(self) -> None:
        self._s3 = s3_client()

    def get_object(self, **call: Any) -> Any:
        return self._s3.get_object(**call)

    def put_object(self, **call: Any) -> Any:
        self._s3.put_object(**call)
        return self._s3.put_object(**call)


def test_write_that_the_sdk_repeats_is_no_conflict(bench: Bench) -> None:
    assert bench.once("one", "a", "b", s3=Repeating()) == Once("sent", frozenset("ab"))
    assert bench.once("one", "a", "b") == Once(None, frozenset("ab"))


class Unmarked(Repeating):
    """An S3 client that fails at the mark, after the claim."""

    def put_object(self, **call: Any) -> Any:
        if b'"sent":true' in call["Body"]:
            raise Transient("storage_unavailable", internal="down")
        return self._s3.put_object(**call)


def test_sending_that_could_not_be_marked_is_repeated_as_ambiguous(bench: Bench) -> None:
    with pytest.raises(Transient):
        bench.once("one", "a", s3=Unmarked())
    bench.now += timedelta(minutes=1)
    assert bench.once("one", "a").ambiguous
    assert bench.sent == ["one", "one"]
