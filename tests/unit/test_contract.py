"""The answers of `functions.api` conform to the contract, and the check of the contract finds known faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from functions.api import answers, app
from functions.api.answers import Answers
from functions.api.contract import CompletionData
from functions.api.http import Answer, Call
from functions.callback.completion import SHOWN, completion
from infra.openapi.calls import CALLS
from infra.openapi.examples import REPORT
from tests import contract
from urlshot.adapters.store import Pdf, Store
from urlshot.core import events, records
from urlshot.core.errors import CODES, Rejected, UrlshotError
from urlshot.core.identity import job_id
from urlshot.core.links import FileLinks
from urlshot.core.options import Options
from urlshot.core.records import LastGood

CONTRACT = contract.Contract()
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
URL = "https://example.com/"
OPTIONS = Options.model_validate({"format": "A5", "margin": {"top": "2cm"}, "viewport": {"width": 800}})
ID = job_id(URL, OPTIONS.changed())


class Signed:
    """Replaces the store, whose links need a client."""

    def link(self, one: str, seconds: int, name: str, **_: Any) -> str:
        return f"https://bucket.s3.amazonaws.com/pdf/{one}.pdf?X-Amz-Expires={seconds}&name={name}"


DESK = Answers(cast("Store", Signed()), FileLinks(lambda: b"secret"), link_seconds=900, pdf_days=30)
LAST = LastGood(generation="g", finished_at=NOW - timedelta(hours=1), report=REPORT)
PDF = Pdf(1234, NOW - timedelta(seconds=30), "g")
ERROR = Rejected("page_status", "The page answered 404.").public()


def call(method: str, route: str, **headers: str) -> Call:
    return Call(method, route, "https://host/prod", "r-1", {"id": ID}, headers=headers)


def record(state: records.State, **changes: Any) -> records.Record:
    made = records.create(ID, URL, OPTIONS, NOW)
    return made.with_(state=state, finished_at=NOW if state in ("done", "failed") else None, **changes)


def faults(method: str, target: str, answer: Answer, body: object = None) -> list[str]:
    """Returns the contract's faults of an answer in the form in which the handler sends it."""
    sent = answer.with_headers({"X-Request-Id": "r-1"}).proxied(head=method == "HEAD")
    asked = contract.Request(method, target, None if body is None else json.dumps(body).encode())
    return CONTRACT.faults(asked, contract.Answer(sent["statusCode"], sent["headers"], sent["body"].encode()))


POST, GET = call("POST", "/pdf"), call("GET", "/pdf/{id}")
JOB = f"/pdf/{ID}"


@pytest.mark.parametrize(
    ("method", "target", "answer"),
    [
        ("POST", "/pdf", DESK.hit(POST, ID, URL, PDF, NOW)),
        ("POST", "/pdf", DESK.job(POST, record("queued"), None, NOW, status=202)),
        ("POST", "/pdf", DESK.job(POST, record("running", last_good=LAST), PDF, NOW, status=202)),
        ("POST", "/pdf", DESK.failed_recently(POST, record("failed", error=ERROR), None, NOW)),
        ("POST", "/pdf", DESK.failed_recently(POST, record("failed", error=ERROR, last_good=LAST), PDF, NOW)),
        ("GET", f"/pdf?url={URL}&hide=nav,footer&scale=0.5&tagged=true", answers.redirect(303, URL)),
        ("GET", f"{JOB}?wait=20", DESK.job(GET, record("done", report=REPORT), PDF, NOW, etag='"e"')),
        ("GET", JOB, DESK.job(GET, record("done", report=REPORT), None, NOW, etag='"e"')),
        ("GET", JOB, DESK.job(GET, record("failed", error=ERROR), None, NOW, etag='"e"')),
        ("GET", JOB, DESK.job(GET, record("queued", last_good=LAST), replace(PDF, generation="h"), NOW, etag='"e"')),
        ("GET", JOB, DESK.job(replace(GET, headers={"if-none-match": "*"}), record("queued"), None, NOW, etag='"e"')),
        ("GET", JOB, DESK.hit(GET, ID, "", PDF, NOW)),
        ("HEAD", JOB, DESK.job(GET, record("queued"), None, NOW, etag='"e"')),
        ("GET", f"{JOB}/file?token=x", answers.redirect(302, URL)),
        ("OPTIONS", JOB, Answer(204, "", {"Allow": "GET"})),
    ],
)  # fmt: skip
def test_answer_conforms_to_the_contract(method: str, target: str, answer: Answer) -> None:
    assert faults(method, target, answer, {"url": URL} if method == "POST" else None) == []


@pytest.mark.parametrize("one", [call for call in CALLS if call.path in app.ROUTES], ids=lambda one: one.name)
def test_every_problem_of_a_call_conforms_to_the_contract(one: Any) -> None:
    target = one.path.replace("{id}", ID)
    for code in one.codes:
        if code not in ("rate_limited", "quota_exceeded"):  # these are API Gateway's, with its own Retry-After
            assert (
                faults(one.method.upper(), target, answers.problem(call(one.method, one.path), UrlshotError(code)))
                == []
            )


def test_answers_to_unknown_calls_conform_to_the_contract() -> None:
    unknown = answers.problem(POST, Rejected("not_found"))
    assert faults("GET", "/no/such/path", unknown) == []
    wrong = answers.problem(POST, Rejected("method_not_allowed"))
    assert faults("PUT", "/pdf", wrong.with_headers({"Allow": "GET, POST"})) == []
    assert faults("PUT", "/pdf", wrong) == ["Allow is missing"]


DONE, FAILED = (
    events.detail(record(state, **more).with_(id=ID), "bucket")
    for state, more in (("done", {"report": REPORT}), ("failed", {"error": ERROR}))
)


@pytest.mark.parametrize(
    "event",
    [DONE, FAILED, events.announced_again(FAILED), events.cached(ID, URL, "bucket", NOW, None)],
    ids=["done", "failed", "failed before", "done before"],
)
@pytest.mark.parametrize("links", [FileLinks(None), FileLinks(lambda: b"key")], ids=["open", "with tokens"])
def test_callback_conforms_to_the_contract(event: events.Detail, links: FileLinks) -> None:
    schema = CONTRACT.document["webhooks"]["jobEnded"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert CONTRACT.value_faults(schema, json.loads(completion(event, "https://host/prod", links))) == []


def test_callback_shows_each_field_of_an_event_that_the_contract_has() -> None:
    """The examples above cannot show this, because a field without a value is left out."""
    assert events.Detail.model_fields.keys() & CompletionData.model_fields.keys() == SHOWN


HIT = DESK.hit(POST, ID, URL, PDF, NOW)
BLOCKED, BUSY, NO_PDF = (
    answers.problem(POST, UrlshotError(code)) for code in ("blocked_target", "busy", "pdf_not_found")
)


def changed(answer: Answer, **fields: Any) -> Answer:
    value: Mapping[str, Any] = {**answer.value, **fields}
    return replace(answer, body=json.dumps({name: one for name, one in value.items() if one is not ...}))


@pytest.mark.parametrize(
    ("target", "answer", "body", "fault"),
    [
        ("/pdf", changed(HIT, generation="g"), {"url": URL}, "'generation' was unexpected"),
        ("/pdf", changed(HIT, bytes=...), {"url": URL}, "'bytes' is a required property"),
        ("/pdf", changed(HIT, stored_at="yesterday"), {"url": URL}, "is not a 'date-time'"),
        ("/pdf", changed(HIT, age=-1), {"url": URL}, "less than the minimum"),
        ("/pdf", HIT.with_headers({"Content-Type": "text/html"}), {"url": URL}, "not application/json"),
        ("/pdf", replace(HIT, headers={"Content-Type": "application/json"}), {"url": URL}, "Location is missing"),
        ("/pdf", replace(HIT, status=201), {"url": URL}, "201 is not among the statuses"),
        ("/pdf", HIT, {"url": URL, "paper": "A4"}, "request: $: Additional properties"),
        ("/pdf", NO_PDF, {"url": URL}, "'pdf_not_found' is not one of ['refused']"),
        ("/pdf", replace(BUSY, headers={}), {"url": URL}, "Retry-After is missing"),
        ("/pdf/batch", BLOCKED, {"requests": []}, "'blocked_target' is not one of"),
    ],
)  # fmt: skip
def test_violation_of_the_contract_is_found(target: str, answer: Answer, body: object, fault: str) -> None:
    found = faults("POST", target, answer, body)
    assert any(fault in one for one in found), found


def test_accepted_query_with_unknown_parameters_is_a_violation() -> None:
    [fault] = faults("GET", f"/pdf?url={URL}&paper=A4", answers.redirect(303, URL))
    assert fault == "request: paper is not described"
    assert faults("GET", f"/pdf?url={URL}&scale=big", answers.redirect(303, URL)) != []


def test_problem_of_every_code_fits_its_schema() -> None:
    schema = {"$ref": "urn:urlshot:openapi#/components/schemas/Problem"}
    for code in CODES:
        assert CONTRACT.value_faults(schema, answers.problem(POST, UrlshotError(code)).value) == []
