"""What refuses calls in the integration tests, tested itself: a role without a statement is a run that fails."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api import jobs
from functions.api.parts import Parts
from tests.deployment.guard import BUCKET, Guard, Need, allows, needs
from tests.deployment.roles import listed
from tests.integration import test_api
from tests.integration.conftest import Broker
from tests.integration.workbench import Bench
from urlshot.errors import Broken, Rejected, UrlshotError
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


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:GetObject", "events:PutEvents"])
def test_dispatch_fails_without_a_permission(
    guard: Guard, store: Store, broker: Broker, report: Report, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    bench = Bench(store, broker)
    delivery = bench.queue_job()
    left = [{**one, "Action": [each for each in one["Action"] if each != action]} for one in guard.roles["dispatch"]]
    monkeypatch.setitem(guard.roles, "dispatch", left)
    monkeypatch.setattr(guard, "denied", [])
    with pytest.raises(UrlshotError) as raised:
        bench.worker(report).handle(delivery)
    assert isinstance(raised.value, Broken)
    assert [(room, need.action) for room, need in guard.denied] == [("dispatch", action)]


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
