"""The books of a history know whose PDF is deleted, and excuse a delete that was not finished."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest

from tests.simulation.books import Books
from tests.simulation.s3 import Object

AT = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b"%PDF of c2"


def pdf(claim: str, generation: str = "g1") -> Object:
    return Object(BODY, "e", AT, {"generation": generation, "claim": claim})


def record(state: str = "done", **fields: object) -> Object:
    report = {"sha256": hashlib.sha256(BODY).hexdigest()}
    body = {
        "id": "a",
        "generation": "g1",
        "claim": "c2",
        "state": state,
        "attempt": 1,
        "announced": True,
        "report": report,
        "last_good": None,
    }
    return Object(json.dumps(body | fields).encode(), "e", AT, {})


@pytest.fixture
def books() -> Books:
    books = Books(max_attempts=2, renders=1)
    books.object_changed("settle 2", "pdf/a.pdf", None, pdf("c2"))
    books.object_changed("settle 2", "job/a.json", None, record())
    return books


def deleted(books: Books, who: str, old: Object) -> None:
    books.object_changed(who, "pdf/a.pdf", None, old)
    books.object_changed(who, "pdf/a.pdf", old, None)


def final(books: Books) -> list[str]:
    return [one.kind for one in books.close({"job/a.json": record()}, 0, operator=False) if one.kind == "no PDF"]


def test_pdf_of_another_claim_may_be_withdrawn(books: Books) -> None:
    deleted(books, "settle 1", pdf("c1"))
    assert books.found == []


@pytest.mark.parametrize(
    "newer", [record(), record("running", generation="g2", claim="c3", last_good={"generation": "g1"})]
)
def test_pdf_that_the_record_keeps_may_not_be_withdrawn(books: Books, newer: Object) -> None:
    books.object_changed("request 2", "job/a.json", record(), newer)
    deleted(books, "settle 1", pdf("c2"))
    assert [one.kind for one in books.found] == ["no PDF"]


def test_delete_that_leaves_its_record_is_wrong(books: Books) -> None:
    deleted(books, "delete 1", pdf("c2"))
    books.delete_ended("delete 1", "a")
    assert [one.kind for one in books.found] == ["no PDF"]


def test_unfinished_delete_excuses_a_missing_pdf(books: Books) -> None:
    """Even if a PDF of another claim was published and withdrawn after the delete."""
    deleted(books, "delete 1", pdf("c2"))
    deleted(books, "settle 1", pdf("c1"))
    assert final(books) == ["no PDF"]
    books.half_deleted.add("delete 1")
    books.found.clear()
    assert final(books) == []
