"""The books find what is lost, doubled or wrong, and nothing in a run in which all went well."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.faults.audit import final_line
from tests.faults.books import Books, Promise, check_bucket

JOB, GENERATION = "a" * 40, "g1"
AT = 1_000_000.0


def record(state: str, generation: str = GENERATION, **more: Any) -> dict[str, Any]:
    ended = {"done": {"report": {"sha256": "1" * 64}, "announced": False}, "failed": {"announced": False}}
    return {"id": JOB, "generation": generation, "state": state, "attempt": 1, **ended.get(state, {}), **more}


def event(state: str = "done", generation: str = GENERATION, **more: Any) -> dict[str, Any]:
    key = f"{JOB}:{generation}:{state}"
    return {"event_key": key, "id": JOB, "url": "http://page/", "cached": False, **more}


def whole() -> Books:
    """Returns the books of one job that went well."""
    books = Books()
    for state in ("publishing", "queued", "running", "done"):
        books.record_written(record(state))
    books.record_written(record("done", announced=True))
    books.event(AT + 1, event())
    books.completion(event(), "")
    books.promise(Promise(AT, "POST", JOB))
    return books


def kinds(books: Books) -> list[str]:
    return [one.kind for one in books.check(max_attempts=3)]


def test_books_of_a_good_run_have_no_violation() -> None:
    books = whole()
    assert books.unfinished() == [] and kinds(books) == []
    assert final_line(books, [], 0) == "accepted=1 done=1 failed=0 lost=0 doubled=0 ambiguous=0"


def test_promise_without_a_later_event_is_lost() -> None:
    books = whole()
    books.promise(Promise(AT + 60, "a later request", JOB))
    assert kinds(books) == ["lost"] and len(books.unfinished()) == 1
    assert "lost=1 doubled=0" in final_line(books, books.check(3), 0)


def test_private_message_is_found_by_its_url() -> None:
    books = whole()
    books.promise(Promise(AT, "a message", url="http://page/"))
    books.promise(Promise(AT, "another message", url="http://other/"))
    assert kinds(books) == ["lost"]


def test_job_that_never_ends_is_lost() -> None:
    books = Books()
    books.record_written(record("running"))
    assert kinds(books) == ["lost"] and books.open_jobs() == 1


def test_generation_that_was_replaced_before_its_end_is_not_lost() -> None:
    books = Books()
    books.record_written(record("queued", "g0"))
    for state in ("publishing", "queued", "running", "done"):
        books.record_written(record(state))
    books.record_written(record("done", announced=True))
    books.event(AT, event())
    books.completion(event(), "")
    assert kinds(books) == []


def test_refused_request_needs_no_event() -> None:
    books = Books()
    books.record_written(record("publishing"))
    books.record_written(record("failed", error={"code": "queue_unavailable"}))
    assert kinds(books) == []


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda books: books.record_written(record("done", report={"sha256": "2" * 64})), ["two ends"]),
        (lambda books: books.record_written(record("failed", error={"code": "crash"})), ["two ends"]),
        (lambda books: books.event(AT, event("failed")), ["two ends"]),
        (lambda books: books.event(AT, event(attempts=2)), ["two events"]),
        (lambda books: books.record_written(record("done", attempt=4)), ["attempts"]),
        (lambda books: books.events.clear(), ["no event", "lost"]),
        (lambda books: books.completions.clear(), ["no event"]),
        (lambda books: books.bad.add("poison"), ["lost"]),
    ],
)
def test_books_find_what_is_wrong(spoil: Any, found: list[str]) -> None:
    books = whole()
    spoil(books)
    assert kinds(books) == found


def test_event_that_comes_twice_is_allowed() -> None:
    books = whole()
    books.event(AT + 9, event(answers_until="2026-01-01T00:00:00Z"))
    books.completion(event(), "")
    assert kinds(books) == []


def test_bucket_is_compared_with_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # of the server that the integration tests use
    pdf = b"%PDF-1.4"
    report = {"sha256": hashlib.sha256(pdf).hexdigest()}
    good = {**record("done"), "report": report, "announced": True}

    def found(records: list[dict[str, Any]], pdfs: dict[str, str], body: bytes = pdf, *more: str) -> list[str]:
        with mock_aws():
            s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t")
            s3.create_bucket(Bucket="books")
            for one in records:
                s3.put_object(Bucket="books", Key=f"job/{one['id']}.json", Body=json.dumps(one).encode())
            for job, generation in pdfs.items():
                s3.put_object(Bucket="books", Key=f"pdf/{job}.pdf", Body=body, Metadata={"generation": generation})
            for key in more:
                s3.put_object(Bucket="books", Key=key, Body=b"{}")
            return [one.kind for one in check_bucket(s3, "books")]

    kept = {**record("failed"), "last_good": {"generation": "g0", "report": report}}
    assert found([good], {JOB: GENERATION}) == []
    assert found([kept], {JOB: "g0"}) == []
    assert found([good], {}) == ["no PDF"]
    assert found([good], {JOB: "g0"}) == ["wrong PDF"]
    assert found([good], {JOB: GENERATION}, b"%PDF-1.5") == ["wrong PDF"]
    assert found([record("failed")], {JOB: GENERATION}) == ["stray PDF"]
    assert found([good], {JOB: GENERATION}, pdf, "slot/3") == ["open"]
