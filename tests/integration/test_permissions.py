"""The guard of the integration tests refuses calls that a role does not allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.api import jobs
from functions.api.parts import Parts
from functions.dispatch.handover import HANDED_OVER
from tests.deployment.guard import BUCKET, Guard, Need, allows, needs
from tests.deployment.whole import listed
from tests.integration import test_api
from tests.integration.conftest import Broker
from tests.integration.workbench import Bench
from urlshot.errors import Broken, Rejected
from urlshot.jobs import Report
from urlshot.store import Store

bus, parts = test_api.bus, test_api.parts  # fixtures


def statement(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": listed(action), "Resource": listed(resource), **more}


@pytest.mark.parametrize(
    ("given", "need", "allowed"),
    [
        (statement("s3:GetObject", f"{BUCKET}/job/*"), Need("s3:GetObject", f"{BUCKET}/job/a.json"), True),
        (statement("s3:GetObject", f"{BUCKET}/job/*"), Need("s3:GetObject", f"{BUCKET}/jobs/a.json"), False),
        (statement("s3:GetObject", f"{BUCKET}/job/*"), Need("s3:PutObject", f"{BUCKET}/job/a.json"), False),
        (statement("s3:GetObject", BUCKET), Need("s3:GetObject", f"{BUCKET}/job/a.json"), False),
        (statement("s3:GetObject", f"{BUCKET}/sub/*/mail-*"), Need("s3:GetObject", f"{BUCKET}/sub/x/mail-y"), True),
        (
            statement("s3:GetObject", f"{BUCKET}/sub/*/mail-*"),
            Need("s3:GetObject", f"{BUCKET}/sub/x/callback-y"),
            False,
        ),
        (statement(["a:B", "a:C"], ["x", "y"]), Need("a:C", "y"), True),
        (statement("a:B", "*", Condition={"StringEquals": {"k": "v"}}), Need("a:B", "x", {"k": "v"}), True),
        (statement("a:B", "*", Condition={"StringEquals": {"k": "v"}}), Need("a:B", "x", {"k": "w"}), False),
        (statement("a:B", "*", Condition={"StringEquals": {"k": "v"}}), Need("a:B", "x"), False),
    ],
)
def test_a_statement_allows_what_it_says(given: dict[str, Any], need: Need, allowed: bool) -> None:
    assert allows(given, need) is allowed


@pytest.mark.parametrize("given", [{"Effect": "Deny"}, {"Condition": {"ArnLike": {"k": "v"}}}])
def test_what_is_not_understood_is_not_guessed(given: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        allows(statement("a:B", "*") | given, Need("a:B", "x"))


def test_a_call_that_nobody_thought_of_is_an_error() -> None:
    with pytest.raises(LookupError):
        list(needs("s3", "DeleteBucket", {"Bucket": "x"}))


def test_a_change_of_what_was_read_needs_to_be_allowed_to_read() -> None:
    actions = [need.action for need in needs("s3", "PutObject", {"Key": "job/a.json", "IfMatch": "etag"})]
    assert actions == ["s3:PutObject", "s3:GetObject"]


def test_conditional_delete_needs_to_be_allowed_to_read() -> None:
    actions = [need.action for need in needs("s3", "DeleteObject", {"Key": "slot/0", "IfMatch": "etag"})]
    assert actions == ["s3:DeleteObject", "s3:GetObject"]


def test_copy_needs_to_read_its_source_and_write_its_target() -> None:
    given = {"CopySource": {"Bucket": "b", "Key": "upload/a/c.pdf"}, "Bucket": "b", "Key": "pdf/a.pdf"}
    assert list(needs("s3", "CopyObject", given)) == [
        Need("s3:GetObject", f"{BUCKET}/upload/a/c.pdf"),
        Need("s3:PutObject", f"{BUCKET}/pdf/a.pdf"),
    ]


@pytest.fixture
def without(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Need], None]:
    """Takes one permission away from a role: statements lose the action if they allow it on the resource."""

    def take_away(room: str, need: Need) -> None:
        left = [
            {**one, "Action": [action for action in one["Action"] if action != need.action]}
            if allows(one, need)
            else one
            for one in guard.roles[room]
        ]
        assert left != guard.roles[room]
        monkeypatch.setitem(guard.roles, room, left)
        monkeypatch.setattr(guard, "denied", [])

    return take_away


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("s3:GetObject", "job/x"),
        ("s3:PutObject", "job/x"),
        ("s3:PutObject", "slot/x"),
        ("s3:PutObject", "upload/x"),
    ],
)
def test_dispatch_fails_without_a_permission(
    guard: Guard, store: Store, broker: Broker, without: Callable[[str, Need], None], action: str, key: str
) -> None:
    bench = Bench(store, broker)
    delivery = bench.queue_job()
    without("dispatch", Need(action, f"{BUCKET}/{key}"))
    assert bench.dispatch(delivery) == ["left"]
    assert {(room, need.action) for room, need in guard.denied} == {("dispatch", action)}
    assert bench.jobs == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", f"{BUCKET}/job/x"),
        ("s3:PutObject", f"{BUCKET}/job/x"),
        ("s3:DeleteObject", f"{BUCKET}/slot/x"),
        ("s3:GetObject", f"{BUCKET}/slot/x"),
        ("s3:GetObject", f"{BUCKET}/upload/x"),
        ("s3:PutObject", f"{BUCKET}/pdf/x"),
        ("events:PutEvents", "${Bus.Arn}"),
    ],
)
def test_settle_fails_without_a_permission(
    guard: Guard,
    store: Store,
    broker: Broker,
    report: Report,
    without: Callable[[str, Need], None],
    action: str,
    resource: str,
) -> None:
    bench = Bench(store, broker)
    assert bench.dispatch(bench.queue_job()) == [HANDED_OVER]
    event = bench.rendered(bench.jobs[0], report)
    without("settle", Need(action, resource))
    with pytest.raises(Broken):
        bench.settle(event)
    assert {(room, need.action) for room, need in guard.denied} == {("settle", action)}


@pytest.mark.parametrize("key", ["pdf/x", "upload/x", "job/x", "slot/x"])
def test_render_may_touch_nothing_in_the_bucket(guard: Guard, key: str) -> None:
    actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    assert not [action for action in actions if guard.allowed("render", Need(action, f"{BUCKET}/{key}"))]


@pytest.mark.parametrize(("room", "key"), [("dispatch", "pdf/x"), ("settle", "upload/x"), ("settle", "slot/x")])
def test_function_may_not_write_what_another_one_writes(guard: Guard, room: str, key: str) -> None:
    """dispatch publishes no PDF, settle uploads nothing and takes no slot."""
    assert not guard.allowed(room, Need("s3:PutObject", f"{BUCKET}/{key}"))


def test_a_missing_key_is_forbidden_to_who_may_not_list(
    guard: Guard,
    parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look() -> Any:
        return jobs.get(parts, test_api.call())

    with pytest.raises(Rejected, match="not_found"):
        look()
    left = [one for one in guard.roles["api"] if "s3:ListBucket" not in one["Action"]]
    monkeypatch.setitem(guard.roles, "api", left)
    with pytest.raises(Broken):
        look()
