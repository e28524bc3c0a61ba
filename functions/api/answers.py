"""Makes HTTP answers from records, PDFs and errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.api.http import Answer, Call, json_answer
from urlshot.adapters.store import Pdf, Store
from urlshot.core import records
from urlshot.core.errors import CODES, UrlshotError
from urlshot.core.identity import file_name
from urlshot.core.links import FileLinks
from urlshot.core.records import Record

RETRY_SECONDS = 2
"""The value of Retry-After while a job is under way."""

TROUBLE_SECONDS = 5
"""The value of Retry-After in answers with status 503 or 504."""

NO_STORE = {"Cache-Control": "no-store"}
REVALIDATE = {"Cache-Control": "private, no-cache"}

UNDER_WAY = ("publishing", "queued", "running")

SHOWN = {"version", "id", "url", "state", "priority", "attempt", "requested_at", "finished_at", "error", "report"}
"""The fields of a record that an answer shows unchanged."""


@dataclass(frozen=True)
class Answers:
    """Makes answers about jobs; a signed link is valid for `link_seconds`, and a PDF is kept for `pdf_days`."""

    store: Store
    links: FileLinks
    link_seconds: int
    pdf_days: int

    def hit(self, call: Call, job_id: str, url: str, pdf: Pdf, at: datetime) -> Answer:
        """Returns the answer about a PDF that exists and is fresh enough; `url` is empty if there is no record."""
        body = {"version": 1, "id": job_id, **({"url": url} if url else {}), "state": "done"}
        body |= self._pdf(pdf, at)
        body["links"] = self._links(call, job_id, url, pdf)
        return json_answer(200, body, {**NO_STORE, "Location": call.job(job_id)})

    def job(
        self, call: Call, record: Record, pdf: Pdf | None, at: datetime, *, etag: str = "", status: int = 200
    ) -> Answer:
        """Returns the answer about a job. A done job whose PDF was deleted is shown as `expired`.

        Args:
            call: the request.
            record: the record of the job.
            pdf: the published PDF, which may be of an older generation.
            at: the time of the answer.
            etag: the ETag of the record in the bucket. With it the answer has an ETag too, and is 304 if the caller
                has this version already.
            status: the status of the answer if it is not 304.
        """
        body = record.model_dump(mode="json", exclude_none=True, include=SHOWN)
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
        """Returns the problem with which a job failed a short time ago; the job is not rendered again yet."""
        error = record.error or UrlshotError("internal").public()
        wait = max(1, math.ceil((records.retry_at(record) - at).total_seconds()))
        extra: dict[str, Any] = {"id": record.id, "url": record.url, "state": "failed", "retry_after": wait}
        if pdf is not None:
            extra["older_pdf"] = older(record, pdf, at)
        extra["links"] = self._links(call, record.id, record.url, pdf)
        return _problem(call, error, extra, {"Retry-After": str(wait)})

    def sign(self, job_id: str, url: str, *, head: bool = False, save: bool = False) -> str:
        """Signs a link to the PDF for GET or HEAD; the file name is made from host and path of its URL.

        With `save` a browser saves the file and does not show it.
        """
        name = file_name(url) if url else f"{job_id}.pdf"
        return self.store.link(job_id, self.link_seconds, name, head=head, save=save)

    def _pdf(self, pdf: Pdf, at: datetime) -> dict[str, Any]:
        """Returns the fields about a published PDF: its size, its age, how long it is kept, and when its link ends."""
        return {
            "bytes": pdf.bytes,
            "stored_at": _shown(pdf.modified),
            "age": max(0, int((at - pdf.modified).total_seconds())),
            "kept_until": _shown(pdf.modified + timedelta(days=self.pdf_days)),
            "link_ends_at": _shown(at + timedelta(seconds=self.link_seconds)),
        }

    def _links(self, call: Call, job_id: str, url: str, pdf: Pdf | None) -> dict[str, str]:
        """Returns the links; `pdf` is signed and expires, and exists only if there is a PDF."""
        permanent = {
            "self": call.job(job_id),
            "file": f"{call.base}{self.links.path(job_id)}",
            "report": f"{call.job(job_id)}/report",
        }
        return {**permanent, "pdf": self.sign(job_id, url)} if pdf is not None else permanent

    def _tag(self, etag: str, pdf: Pdf | None, at: datetime) -> str:
        """Returns the ETag of an answer about a job.

        It is weak, because the age and the signed link differ in each answer. It changes at least once in half of
        `link_seconds`. So a client that gets a 304 has a link that is valid for at least half of that time.
        """
        parts = [etag.strip('"')]
        if pdf is not None:
            parts += [f"{pdf.modified.timestamp():.0f}", str(int(at.timestamp() / (self.link_seconds / 2)))]
        return f'W/"{"-".join(parts)}"'


def older(record: Record, pdf: Pdf, at: datetime) -> dict[str, Any]:
    """Returns what is known about a PDF that an older generation of the job made."""
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
    """Returns an error as a problem answer (RFC 9457)."""
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
    """Returns a redirect that is not cached."""
    return Answer(status, "", {"Location": location, **NO_STORE})


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
