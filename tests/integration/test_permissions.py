"""Tests that the guard of the integration tests refuses AWS calls that a function's role does not allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.api import job_calls
from functions.api.dependencies import Dependencies
from functions.dispatch.handover import HANDED_OVER
from tests.deployment.guard import BUCKET, Guard, Need, allows, needs
from tests.deployment.whole import listed
from tests.integration import test_api
from tests.integration.conftest import Broker
from tests.integration.workbench import Bench
from urlshot.adapters.store import Store
from urlshot.core.errors import Broken, Rejected
from urlshot.core.render_contract import Report

bus, deps = test_api.bus, test_api.deps  # fixtures


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
def test_statement_allows_its_actions_on_its_resources(given: dict[str, Any], need: Need, allowed: bool) -> None:
    assert allows(given, need) is allowed


@pytest.mark.parametrize("given", [{"Effect": "Deny"}, {"Condition": {"ArnLike": {"k": "v"}}}])
def test_unsupported_statement_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        allows(statement("a:B", "*") | given, Need("a:B", "x"))


def test_unknown_call_is_an_error() -> None:
    with pytest.raises(LookupError):
        list(needs("s3", "DeleteBucket", {"Bucket": "x"}))


def test_conditional_write_needs_permission_to_read() -> None:
    actions = [need.action for need in needs("s3", "PutObject", {"Key": "job/a.json", "IfMatch": "etag"})]
    assert actions == ["s3:PutObject", "s3:GetObject"]


def test_conditional_delete_needs_permission_to_read() -> None:
    actions = [need.action for need in needs("s3", "DeleteObject", {"Key": "slot/0", "IfMatch": "etag"})]
    assert actions == ["s3:DeleteObject", "s3:GetObject"]


def test_copy_needs_permission_to_read_its_source_and_write_its_target() -> None:
    given = {"CopySource": {"Bucket": "b", "Key": "upload/a/c.pdf"}, "Bucket": "b", "Key": "pdf/a.pdf"}
    assert list(needs("s3", "CopyObject", given)) == [
        Need("s3:GetObject", f"{BUCKET}/upload/a/c.pdf"),
        Need("s3:PutObject", f"{BUCKET}/pdf/a.pdf"),
    ]


@pytest.fixture
def without(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Need], None]:
    """Returns a function that removes an action from all statements of a role that allow it on a resource."""

    def take_away(function: str, need: Need) -> None:
        left = [
            {**one, "Action": [action for action in one["Action"] if action != need.action]}
            if allows(one, need)
            else one
            for one in guard.roles[function]
        ]
        assert left != guard.roles[function]
        monkeypatch.setitem(guard.roles, function, left)
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
    assert {(function, need.action) for function, need in guard.denied} == {("dispatch", action)}
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
    assert {(function, need.action) for function, need in guard.denied} == {("settle", action)}


@pytest.mark.parametrize("key", ["pdf/x", "upload/x", "job/x", "slot/x"])
def test_render_may_touch_nothing_in_the_bucket(guard: Guard, key: str) -> None:
    actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    assert not [action for action in actions if guard.allowed("render", Need(action, f"{BUCKET}/{key}"))]


@pytest.mark.parametrize(
    ("function", "key"), [("api", "pdf/x"), ("api", "slot/x"), ("settle", "upload/x"), ("settle", "slot/x")]
)
def test_function_may_not_write_objects_of_another_function(guard: Guard, function: str, key: str) -> None:
    """The API publishes no PDF and takes no slot; settle uploads no PDF and takes no slot."""
    assert not guard.allowed(function, Need("s3:PutObject", f"{BUCKET}/{key}"))


def test_missing_key_is_forbidden_without_permission_to_list(
    guard: Guard,
    deps: Dependencies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look() -> Any:
        return job_calls.get(deps, test_api.call())

    with pytest.raises(Rejected, match="not_found"):
        look()
    left = [one for one in guard.roles["api"] if "s3:ListBucket" not in one["Action"]]
    monkeypatch.setitem(guard.roles, "api", left)
    with pytest.raises(Broken):
        look()
