"""From a job to an HTTP answer: addresses, problems, and what a caller may see."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from functions.api import answers
from functions.api.answers import Place
from urlshot import records
from urlshot.errors import CODES, Rejected, Transient
from urlshot.options import Options
from urlshot.store import Pdf

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LINKS = {"self": "https://host/pdf/x", "file": "https://host/pdf/x/file"}


@pytest.mark.parametrize(
    ("path", "full_path", "scheme", "base"),
    [
        ("/pdf", "/prod/pdf", "https", "https://host:1/prod"),
        ("/pdf", "/pdf", "http", "http://host:1"),
        ("/pdf/a/file", "/base/path/pdf/a/file", None, "https://host:1/base/path"),
    ],
)
def test_links_are_built_from_the_requests_own_address(
    path: str, full_path: str, scheme: str | None, base: str
) -> None:
    event = APIGatewayProxyEvent(
        {
            "path": path,
            "headers": {"X-Forwarded-Proto": scheme} if scheme else None,
            "requestContext": {"path": full_path, "domainName": "host:1", "stage": "prod"},
        }
    )
    place = Place.of(event)
    assert place.base == base
    assert place.file("id") == f"{base}/pdf/id/file"
    assert place.again({"url": "https://a/?b=c&d"}, 2) == f"{base}/pdf?url=https%3A%2F%2Fa%2F%3Fb%3Dc%26d&hops=2"


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_a_problem_answer(code: str) -> None:
    response = answers.problem(Transient(code, "What happened."))
    body = json.loads(response.body or "")
    assert response.status_code == CODES[code].status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert set(body) >= {"type", "status", "title", "detail", "code", "retryable", "remedy"}
    assert (body["status"], body["detail"]) == (response.status_code, "What happened.")
    assert ("Retry-After" in response.headers) == (response.status_code == 503)


def test_a_problem_names_the_field() -> None:
    body = json.loads(answers.problem(Rejected("invalid_request", "scale: is too big.", field="scale")).body or "")
    assert body["field"] == "scale"


def record(state: records.State, **changes: object) -> records.Record:
    made = records.create("a" * 40, "https://example.com/", Options(format="A5"), NOW)
    return made.with_(state=state, finished_at=NOW, **changes)


def test_a_job_does_not_show_what_is_for_us() -> None:
    body = json.loads(answers.job(record("queued"), None, LINKS).body or "")
    assert not set(body) & {"generation", "announced", "lease_until", "last_good"}
    assert (body["state"], body["options"], body["links"]) == ("queued", {"format": "A5"}, LINKS)


@pytest.mark.parametrize(
    ("state", "waits"), [("publishing", True), ("queued", True), ("running", True), ("done", False), ("failed", False)]
)
def test_a_job_under_way_says_when_to_ask_again(state: records.State, waits: bool) -> None:
    assert ("Retry-After" in answers.job(record(state), None, LINKS).headers) is waits


def test_a_done_job_whose_pdf_was_cleared_away_is_shown_as_expired() -> None:
    assert json.loads(answers.job(record("done"), None, LINKS).body or "")["state"] == "expired"
    there = Pdf(10, NOW, "")
    assert json.loads(answers.job(record("done"), there, LINKS).body or "")["state"] == "done"


def test_a_recent_failure_says_its_cause_and_when_it_may_be_tried_again() -> None:
    error = Rejected("page_status", "The page answered 404.").public()
    response = answers.failed_recently(
        record("failed", error=error), NOW + timedelta(seconds=20), Place("https://host")
    )
    body = json.loads(response.body or "")
    assert (response.status_code, body["code"], body["detail"]) == (502, "page_status", "The page answered 404.")
    assert response.headers["Retry-After"] == "40"
    assert body["links"] == {"self": f"https://host/pdf/{'a' * 40}"}


def test_a_hit_says_how_old_it_is_and_when_its_link_ends() -> None:
    pdf = Pdf(1234, NOW - timedelta(seconds=30), "g")
    body = json.loads(answers.hit("x", "https://example.com/", pdf, NOW, LINKS, 900).body or "")
    assert (body["state"], body["bytes"], body["age"]) == ("done", 1234, 30)
    assert body["link_ends_at"] == "2026-01-02T03:19:05+00:00"
