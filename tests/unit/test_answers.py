"""`functions.api` turns a job into an HTTP answer: ages, tags, older PDFs, and only the fields for callers."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from functions.api import answers
from functions.api.answers import SHOWN, Answers
from functions.api.contract import Job
from functions.api.http import Call
from urlshot.adapters.store import Pdf, Store
from urlshot.core import records
from urlshot.core.errors import CODES, Rejected, Transient
from urlshot.core.links import FileLinks
from urlshot.core.options import Options
from urlshot.core.records import LastGood
from urlshot.core.render_contract import Report

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = "a" * 40
REPORT = Report(
    final_url="https://example.com/", status=200, title="Example", pages=1, bytes=8, sha256="", phases={}, network={},
    chromium="", cold=False,
)  # fmt: skip


class Signed:
    """Replaces the store, whose links need a client."""

    def link(self, job_id: str, seconds: int, name: str, *, head: bool = False, save: bool = False) -> str:
        return f"https://s3/{job_id}?{seconds}&{name}" + ("&HEAD" if head else "")


DESK = Answers(cast("Store", Signed()), FileLinks(None), link_seconds=900, pdf_days=30)


def call(**headers: str) -> Call:
    return Call(
        "GET", "/pdf/{id}", "https://host/prod", "r-1", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def record(state: records.State, **changes: Any) -> records.Record:
    made = records.create(ID, "https://example.com/", Options(format="A5"), NOW)
    finished = NOW if state in ("done", "failed") else None
    return made.with_(state=state, finished_at=finished, **changes)


def pdf(age: int = 0, generation: str = "g") -> Pdf:
    return Pdf(1234, NOW - timedelta(seconds=age), generation)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_a_problem_answer(code: str) -> None:
    answer = answers.problem(call(), Transient(code, "What happened."))
    assert answer.status == CODES[code].status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.value
    assert set(body) == {"type", "status", "title", "detail", "code", "retryable", "remedy", "request_id"}
    assert (body["type"], body["detail"], body["request_id"]) == (
        f"urn:urlshot:problem:{code}",
        "What happened.",
        "r-1",
    )
    assert ("Retry-After" in answer.headers) is (answer.status in (503, 504))


def test_internal_text_of_an_error_is_not_shown() -> None:
    answer = answers.problem(call(), Rejected("invalid_url", "The URL has no host.", internal="secret", field="url"))
    assert "secret" not in answer.body
    assert answer.value["field"] == "url"


def test_job_shows_the_fields_of_the_contract_alone() -> None:
    whole = record("done", lease_until=NOW, not_before=NOW, started_at=NOW, claim="c" * 32, report=REPORT)
    assert set(DESK.job(call(), whole, pdf(), NOW).value) <= Job.model_fields.keys()
    assert records.Record.model_fields.keys() & Job.model_fields.keys() >= SHOWN
    body = DESK.job(call(), record("queued"), None, NOW).value
    assert (body["version"], body["state"], body["options"]) == (1, "queued", {"format": "A5"})
    address = f"https://host/prod/pdf/{ID}"
    assert body["links"] == {"self": address, "file": f"{address}/file", "report": f"{address}/report"}


@pytest.mark.parametrize(
    ("state", "waits"), [("publishing", True), ("queued", True), ("running", True), ("done", False), ("failed", False)]
)
def test_job_in_progress_says_when_to_ask_again(state: records.State, waits: bool) -> None:
    answer = DESK.job(call(), record(state), None, NOW, status=202)
    assert ("Retry-After" in answer.headers) is waits
    assert answer.headers["Location"] == f"https://host/prod/pdf/{ID}"
    assert answer.headers["Cache-Control"] == "no-store"


def test_done_job_says_how_old_its_pdf_is_and_how_long_it_is_kept() -> None:
    body = DESK.job(call(), record("done", report=REPORT), pdf(age=30), NOW).value
    assert (body["state"], body["bytes"], body["age"]) == ("done", 1234, 30)
    assert body["stored_at"] == "2026-01-02T03:03:35Z"
    assert body["kept_until"] == "2026-02-01T03:03:35Z"
    assert body["link_ends_at"] == "2026-01-02T03:19:05Z"
    assert body["links"]["pdf"] == f"https://s3/{ID}?900&example.com.pdf"
    assert "older_pdf" not in body


def test_done_job_whose_pdf_has_expired_is_shown_as_expired() -> None:
    body = DESK.job(call(), record("done", report=REPORT), None, NOW).value
    assert body["state"] == "expired"
    assert not set(body) & {"bytes", "age", "link_ends_at"}
    assert "pdf" not in body["links"]


@pytest.mark.parametrize("state", ["publishing", "queued", "running", "failed"])
def test_older_pdf_stays_reachable_and_is_called_older(state: records.State) -> None:
    last = LastGood(generation="g", finished_at=NOW - timedelta(hours=1), report=REPORT)
    body = DESK.job(call(), record(state, last_good=last), pdf(age=3600), NOW).value
    assert body["older_pdf"]["age"] == 3600
    assert body["older_pdf"]["finished_at"] == "2026-01-02T02:04:05Z"
    assert body["older_pdf"]["report"]["title"] == "Example"
    assert body["links"]["pdf"]


def test_pdf_of_an_unknown_generation_has_no_report() -> None:
    last = LastGood(generation="before", finished_at=NOW - timedelta(hours=1), report=REPORT)
    shown = DESK.job(call(), record("running", last_good=last), pdf(age=1, generation="now"), NOW).value["older_pdf"]
    assert shown == {"finished_at": "2026-01-02T03:04:04Z", "age": 1}


def test_job_that_the_caller_has_is_not_sent_again() -> None:
    first = DESK.job(call(), record("done", report=REPORT), pdf(30), NOW, etag='"e"')
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = DESK.job(call(if_none_match=tag), record("done", report=REPORT), pdf(30), NOW, etag='"e"')
    assert (again.status, again.body, again.headers["ETag"]) == (304, "", tag)


@pytest.mark.parametrize(
    ("etag", "there", "seconds"),
    [
        ('"other"', pdf(30), 0),  # the record has changed
        ('"e"', None, 0),  # the PDF has expired
        ('"e"', pdf(29), 0),  # another PDF
        ('"e"', pdf(30), 450),  # half of the lifetime of its link is over
    ],
)
def test_tag_changes_with_everything_a_caller_needs(etag: str, there: Pdf | None, seconds: int) -> None:
    tag = DESK.job(call(), record("done", report=REPORT), pdf(30), NOW, etag='"e"').headers["ETag"]
    later = NOW + timedelta(seconds=seconds)
    answer = DESK.job(call(if_none_match=tag), record("done", report=REPORT), there, later, etag=etag)
    assert answer.status == 200


def test_recent_failure_has_its_cause_and_its_retry_time() -> None:
    error = Rejected("page_status", "The page answered 404.").public()
    answer = DESK.failed_recently(call(), record("failed", error=error), None, NOW + timedelta(seconds=20))
    body = answer.value
    assert (answer.status, body["code"], body["detail"]) == (502, "page_status", "The page answered 404.")
    assert (answer.headers["Retry-After"], body["retry_after"], body["state"]) == ("40", 40, "failed")
    assert body["links"]["self"] == f"https://host/prod/pdf/{ID}"
    assert "older_pdf" not in body
    last = LastGood(generation="g", finished_at=NOW, report=REPORT)
    with_older = DESK.failed_recently(call(), record("failed", error=error, last_good=last), pdf(5), NOW).value
    assert with_older["older_pdf"]["age"] == 5
    assert with_older["links"]["pdf"]


def test_hit_says_how_old_it_is_and_when_its_link_ends() -> None:
    answer = DESK.hit(call(), ID, "https://example.com/", pdf(30), NOW)
    body = answer.value
    assert (answer.status, body["state"], body["bytes"], body["age"]) == (200, "done", 1234, 30)
    assert (body["link_ends_at"], answer.headers["Cache-Control"]) == ("2026-01-02T03:19:05Z", "no-store")
    assert "url" not in DESK.hit(call(), ID, "", pdf(), NOW).value


def test_link_to_the_file_has_a_token_where_keys_are_required() -> None:
    keyed = Answers(cast("Store", Signed()), FileLinks(lambda: b"secret"), link_seconds=900, pdf_days=30)
    links = keyed.hit(call(), ID, "", pdf(), NOW).value["links"]
    address, _, token = links["file"].partition("?token=")
    assert address == f"https://host/prod/pdf/{ID}/file"
    assert FileLinks(lambda: b"secret").opens(ID, token)
    assert links["self"] == f"https://host/prod/pdf/{ID}"
