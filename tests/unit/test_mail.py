"""The text of a mail has the talk's subject, the links and no line breaks from strangers."""

import pytest

from functions.mail.text import compose
from urlshot.core.events import Detail
from urlshot.core.links import FileLinks
from urlshot.core.render_contract import Report

REPORT = Report(
    final_url="https://example.com/", status=200, title="Evil\r\nBcc: all@example.com\u2028<b>", pages=2, bytes=1234,
    sha256="", phases={}, network={}, chromium="", cold=False,
)  # fmt: skip


def detail(**changes: object) -> Detail:
    values: dict[str, object] = {
        "event_key": "x:y:done", "id": "x", "url": "https://example.com/", "bucket": "b", "key": "pdf/x.pdf",
        "report": REPORT, "error": None, "attempts": 1, "cached": False, "requested_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:04:06Z", "queue_seconds": 0.5, "render_seconds": 0.5,
    }  # fmt: skip
    return Detail.model_validate(values | changes)


OPEN = FileLinks(None)


def test_mail_of_a_success_has_the_talks_subject_and_the_links() -> None:
    mail = compose(detail(), "https://api.example.com/prod", OPEN)
    assert mail.subject == "The PDF has been generated"
    assert mail.text == (
        "The PDF has been generated.\n\n"
        "Page:  https://example.com/\n"
        "Title: Evil  Bcc: all@example.com <b>\n"
        "Size:  2 pages, 1,234 bytes\n"
        "PDF:   https://api.example.com/prod/pdf/x/file\n"
        "Job:   https://api.example.com/prod/pdf/x\n"
    )


def test_mail_of_a_failure_has_the_talks_subject_and_the_remedy() -> None:
    error = {"code": "page_status", "detail": "The page answered 404.", "remedy": "Check the URL."}
    mail = compose(detail(error=error, report=None, key=None), "https://api.example.com", OPEN)
    assert mail.subject == "The PDF has not been generated"
    assert "Cause: The page answered 404. (page_status)\nTo do: Check the URL.\n" in mail.text
    assert "/file" not in mail.text


@pytest.mark.parametrize(
    "evil",
    [
        "a\r\nBcc: all@example.com",
        "\r\n\r\n<script>alert(1)</script>",
        "\r\n.\r\nMAIL FROM:<evil@example.com>",
        "<img src=x onerror=alert(1)>",
        "\u560d\u560aBcc: all@example.com",
        "\0",
        "\u2028\u2029\x85\x0b\x0c",
        "\u202egpj.exe",
        "=?utf-8?q?x?=",
    ],
)
def test_strangers_text_adds_no_line_and_is_in_no_subject(evil: str) -> None:
    report = REPORT.model_copy(update={"title": evil})
    error = {"code": evil, "detail": evil, "remedy": evil}
    url = f"https://example.com/{evil}"
    for changes, expected in (
        ({"report": report, "url": url}, 7),
        ({"error": error, "report": None, "key": None, "url": url}, 6),
    ):
        mail = compose(detail(**changes), "https://a", OPEN)
        assert mail.subject in {"The PDF has been generated", "The PDF has not been generated"}
        lines = mail.text.splitlines()
        assert lines == mail.text.split("\n")[:-1]
        assert len(lines) == expected
        assert not set("\r\0\u202e\u2028\x85") & set(mail.text)


@pytest.mark.parametrize("cached", [True, False])
def test_pdf_without_a_report_has_a_mail_too(cached: bool) -> None:
    assert "/pdf/x/file" in compose(detail(report=None, cached=cached), "https://a", OPEN).text


def test_link_has_a_token_where_keys_are_required() -> None:
    links = FileLinks(lambda: b"key")
    mail = compose(detail(), "https://a", links)
    assert f"PDF:   https://a{links.path('x')}\n" in mail.text
    assert "?token=" in mail.text
