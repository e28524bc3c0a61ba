"""Writes mails as plain text, because titles and URLs are strangers' text."""

from __future__ import annotations

from dataclasses import dataclass

from urlshot.core.events import Detail
from urlshot.core.links import FileLinks

DONE = "The PDF has been generated"
FAILED = "The PDF has not been generated"


@dataclass(frozen=True)
class Mail:
    """Holds the subject and the text of a mail."""

    subject: str
    text: str


def compose(detail: Detail, public_url: str, links: FileLinks) -> Mail:
    """Writes the mail about an event; its link to the PDF does not expire, as a presigned one would."""
    lines = [f"Page:  {_line(detail.url)}"]
    if detail.error is not None:
        lines += [
            f"Cause: {_line(detail.error.get('detail', ''))} ({_line(detail.error.get('code', 'internal'))})",
            f"To do: {_line(detail.error.get('remedy', ''))}",
            f"Job:   {public_url}/pdf/{detail.id}",
        ]
        return Mail(FAILED, _text(FAILED, lines))
    if detail.report is not None:
        lines += [
            f"Title: {_line(detail.report.title)}",
            f"Size:  {_pages(detail.report.pages)}, {detail.report.bytes:,} bytes",
        ]
    lines += [f"PDF:   {public_url}{links.path(detail.id)}", f"Job:   {public_url}/pdf/{detail.id}"]
    return Mail(DONE, _text(DONE, lines))


def _text(subject: str, lines: list[str]) -> str:
    return "\n".join([f"{subject}.", "", *lines, ""])


def _line(text: object) -> str:
    """Returns strangers' text on one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def _pages(count: int) -> str:
    return f"{count} page" if count == 1 else f"{count} pages"
