"""From what is known of a job to an HTTP answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.api.http import Answer, Call, json_answer
from urlshot import records
from urlshot.errors import CODES, UrlshotError
from urlshot.identity import file_name
from urlshot.links import FileLinks
from urlshot.records import Record
from urlshot.store import Pdf, Store

RETRY_SECONDS = 2
"""What Retry-After says while a job is under way."""

TROUBLE_SECONDS = 5
"""What Retry-After says where the service is in trouble."""

NO_STORE = {"Cache-Control": "no-store"}
REVALIDATE = {"Cache-Control": "private, no-cache"}

UNDER_WAY = ("publishing", "queued", "running")

SHOWN = {"version", "id", "url", "state", "priority", "attempt", "requested_at", "finished_at", "error", "report"}
"""The fields of a record that an answer shows as they are."""


@dataclass(frozen=True)
class Answers:
    """Answers about jobs. `link_seconds` is how long a signed link lasts, `pdf_days` how long a PDF is kept."""

    store: Store
    links: FileLinks
    link_seconds: int
    pdf_days: int

    def hit(self, call: Call, job_id: str, url: str, pdf: Pdf, at: datetime) -> Answer:
        """A PDF that is there and fresh enough; `url` is empty where nothing but the PDF is known."""
        body = {"version": 1, "id": job_id, **({"url": url} if url else {}), "state": "done"}
        body |= self._pdf(pdf, at)
        body["links"] = self._links(call, job_id, url, pdf)
        return json_answer(200, body, {**NO_STORE, "Location": call.job(job_id)})

    def job(
        self, call: Call, record: Record, pdf: Pdf | None, at: datetime, *, etag: str = "", status: int = 200
    ) -> Answer:
        """A job as its record tells it, with the PDF that is there, which may be an older one.

        A done job whose PDF has been cleared away is `expired`. `etag` is that of the record in the bucket; with it the
        answer has a tag of its own, and is 304 for who has it already.
        """
        body = record.model_dump(mode="json", include=SHOWN, exclude_none=True)
        body["options"] = record.options.changed()
        if record.state == "done" and pdf is None:
            body["state"] = "expired"
        if record.state != "done" and pdf is not None:
            body["older_pdf"] = older(record, pdf, at)
        if pdf is not None:
            body |= self._pdf(pdf, at)
        body["links"] = self._links(call, record.id, record.url, pdf)
        headers = {**NO_STORE, "Location": call.job(record.id)}
        if record.state in UNDER_WAY:
            headers["Retry-After"] = str(RETRY_SECONDS)
        if etag:
            headers |= {**REVALIDATE, "ETag": self._tag(etag, pdf, at)}
            if call.has(headers["ETag"]):
                del headers["Location"]
                return Answer(304, "", headers)
        return json_answer(status, body, headers)

    def failed_recently(self, call: Call, record: Record, pdf: Pdf | None, at: datetime) -> Answer:
        """The failure of a job that is not tried again yet, as the problem that it was."""
        error = record.error or UrlshotError("internal").public()
        wait = max(1, math.ceil((records.retry_at(record) - at).total_seconds()))
        extra: dict[str, Any] = {"id": record.id, "url": record.url, "state": "failed", "retry_after": wait}
        if pdf is not None:
            extra["older_pdf"] = older(record, pdf, at)
        extra["links"] = self._links(call, record.id, record.url, pdf)
        return _problem(call, error, extra, {"Retry-After": str(wait)})

    def sign(self, job_id: str, url: str, *, head: bool = False, save: bool = False) -> str:
        """A link to the PDF itself, for GET or for HEAD, under a name made of its URL's host and path."""
        name = file_name(url) if url else f"{job_id}.pdf"
        return self.store.link(job_id, self.link_seconds, name, head=head, save=save)

    def _pdf(self, pdf: Pdf, at: datetime) -> dict[str, Any]:
        """How old the PDF that is there is, how long it is kept at the least, and when the link to it ends."""
        return {
            "bytes": pdf.bytes,
            "stored_at": _shown(pdf.modified),
            "age": max(0, int((at - pdf.modified).total_seconds())),
            "kept_until": _shown(pdf.modified + timedelta(days=self.pdf_days)),
            "link_ends_at": _shown(at + timedelta(seconds=self.link_seconds)),
        }

    def _links(self, call: Call, job_id: str, url: str, pdf: Pdf | None) -> dict[str, str]:
        """`self`, `file` and `report` last; `pdf` is signed, and there when a PDF is."""
        lasting = {
            "self": call.job(job_id),
            "file": f"{call.base}{self.links.path(job_id)}",
            "report": f"{call.job(job_id)}/report",
        }
        return {**lasting, "pdf": self.sign(job_id, url)} if pdf is not None else lasting

    def _tag(self, etag: str, pdf: Pdf | None, at: datetime) -> str:
        """Weak, because the age and the signed link differ each time; it changes before half of the link's time is out,
        so that a link which a client was told to go on using still works."""
        parts = [etag.strip('"')]
        if pdf is not None:
            parts += [f"{pdf.modified.timestamp():.0f}", str(int(at.timestamp() / (self.link_seconds / 2)))]
        return f'W/"{"-".join(parts)}"'


def older(record: Record, pdf: Pdf, at: datetime) -> dict[str, Any]:
    """What is known of a PDF that a life of the job before this one made."""
    known = record.last_good
    shown: dict[str, Any] = {
        "finished_at": _shown(pdf.modified),
        "age": max(0, int((at - pdf.modified).total_seconds())),
    }
    if known is not None and pdf.generation in ("", known.generation):
        shown |= {
            "finished_at": _shown(known.finished_at),
            "report": known.report.model_dump(mode="json", exclude_none=True),
        }
    return shown


def problem(call: Call, error: UrlshotError) -> Answer:
    """An error as RFC 9457 has it."""
    headers = {"Retry-After": str(TROUBLE_SECONDS)} if error.code.status in (503, 504) else {}
    return _problem(call, error.public(), {}, headers)


def _problem(call: Call, error: Mapping[str, Any], extra: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    status = CODES[error["code"]].status if error["code"] in CODES else 500
    body = {
        "type": f"urn:urlshot:problem:{error['code']}",
        "status": status,
        **error,
        "request_id": call.request_id,
        **extra,
    }
    return json_answer(status, body, {**NO_STORE, **headers}, "application/problem+json")


def redirect(status: int, location: str) -> Answer:
    return Answer(status, "", {"Location": location, **NO_STORE})


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
