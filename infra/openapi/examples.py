"""Provides the examples of the contract, built by its models, with the ids that the endpoint would return."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from functions.api.contract import (
    BatchAnswer,
    BatchCounts,
    BatchResult,
    Completion,
    CompletionData,
    CompletionLinks,
    Health,
    Job,
    JobError,
    Links,
    OlderPdf,
    PdfThere,
    Problem,
    WebhookKeys,
)
from urlshot.core.errors import CODES, UrlshotError
from urlshot.core.identity import job_id
from urlshot.core.options import Options
from urlshot.core.render_contract import Report, Wait

BASE = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/prod"
URL = "https://example.com/invoices/42"
GONE = "https://example.com/no/such/page"
OPTIONS = Options.model_validate({"format": "A5", "margin": "1cm", "page_numbers": True})
ID, ID_A5 = job_id(URL, {}), job_id(URL, OPTIONS.changed())
REQUEST_ID = "6c5b2a0e-3f64-4f0b-9d1c-2f9f6a1d4e77"
ASKED = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FINISHED = datetime(2026, 1, 2, 3, 4, 6, 928410, UTC)
LINK, KEPT = timedelta(minutes=15), timedelta(days=30)


def shown(model: BaseModel) -> dict[str, Any]:
    """Returns a model in the form of an answer: without null fields, and without options that have their defaults."""
    found = model.model_dump(mode="json", exclude_none=True)
    if isinstance(model, Job):
        found["options"] = model.options.changed()
    return found


def _links(one: str, *, pdf: bool = False) -> Links:
    own = f"{BASE}/pdf/{one}"
    signed = f"https://urlshot-pdfs.s3.eu-central-1.amazonaws.com/pdf/{one}.pdf?X-Amz-Expires=900&X-Amz-Signature=0a1b"
    return Links(self=own, file=f"{own}/file", report=f"{own}/report", pdf=signed if pdf else None)


def problem(code: str, detail: str = "", field: str | None = None) -> Problem:
    """Returns a problem with this code, in the form of an answer."""
    public = UrlshotError(code, detail, field=field).public()
    return Problem(type=f"urn:urlshot:problem:{code}", status=CODES[code].status, **public, request_id=REQUEST_ID)


REPORT = Report(
    final_url=URL,
    status=200,
    title="Invoice 42",
    pages=1,
    bytes=5728,
    sha256="3f6c2c1a0a4a7c4fd5d7b9f2f6a9b0d1e8c7a6b5f4e3d2c1b0a9f8e7d6c5b4a3",
    waited=(Wait(what="fonts", milliseconds=12.4),),
    phases={
        "queue": 24.0,
        "wait": 8.1,
        "hand_over": 31.5,
        "start": 38.6,
        "navigate": 145.3,
        "settle": 129.2,
        "print": 19.9,
        "upload": 29.8,
    },
    network={"received": 48211, "sent": 3120, "connections": 3, "refused": 0},
    chromium="147.0.7727.0",
    cold=False,
    gb_seconds=0.77,
)
QUEUED = Job(
    id=ID,
    url=URL,
    state="queued",
    priority="normal",
    attempt=0,
    requested_at=ASKED,
    options=Options(),
    links=_links(ID),
)
DONE = Job(
    id=ID_A5,
    url=URL,
    state="done",
    priority="normal",
    attempt=1,
    requested_at=ASKED,
    finished_at=FINISHED,
    options=OPTIONS,
    report=REPORT,
    bytes=REPORT.bytes,
    stored_at=FINISHED.replace(microsecond=0),
    age=60,
    kept_until=FINISHED.replace(microsecond=0) + KEPT,
    links=_links(ID_A5, pdf=True),
    link_ends_at=FINISHED.replace(microsecond=0) + timedelta(seconds=60) + LINK,
)
RUNNING_AGAIN = Job(
    id=ID,
    url=URL,
    state="running",
    priority="normal",
    attempt=1,
    requested_at=ASKED + timedelta(days=2),
    options=Options(),
    bytes=REPORT.bytes,
    stored_at=FINISHED.replace(microsecond=0),
    age=172_800,
    kept_until=FINISHED.replace(microsecond=0) + KEPT,
    older_pdf=OlderPdf(finished_at=FINISHED, age=172_800, report=REPORT),
    links=_links(ID, pdf=True),
    link_ends_at=FINISHED.replace(microsecond=0) + timedelta(days=2) + LINK,
)
FAILED = Job(
    id=job_id(GONE, {}),
    url=GONE,
    state="failed",
    priority="normal",
    attempt=1,
    requested_at=ASKED,
    finished_at=FINISHED,
    options=Options(),
    error=JobError.model_validate(UrlshotError("page_status", "The page answered with status 404.").public()),
    links=_links(job_id(GONE, {})),
)
THERE = PdfThere(
    id=ID,
    url=URL,
    state="done",
    bytes=REPORT.bytes,
    stored_at=FINISHED.replace(microsecond=0),
    age=60,
    kept_until=FINISHED.replace(microsecond=0) + KEPT,
    links=_links(ID, pdf=True),
    link_ends_at=FINISHED.replace(microsecond=0) + timedelta(seconds=60) + LINK,
)
BLOCKED = problem("blocked_target", "10.0.0.1 is not a global unicast address.", "url")
FAILED_RECENTLY = problem("page_status", "The page answered with status 404.").model_copy(
    update={"id": FAILED.id, "url": FAILED.url, "state": "failed", "retry_after": 40, "links": FAILED.links}
)
BATCH = BatchAnswer(
    results=(
        BatchResult(index=0, status=200, body=THERE),
        BatchResult(index=1, status=422, body=BLOCKED),
    ),
    counts=BatchCounts(hit=1, queued=0, joined=0, failed=0, refused=1),
)
COMPLETED = Completion(
    type="shot.completed",
    timestamp=FINISHED,
    data=CompletionData(
        id=ID_A5,
        url=URL,
        state="done",
        report=REPORT,
        attempts=1,
        cached=False,
        requested_at=ASKED,
        finished_at=FINISHED,
        queue_seconds=0.024,
        render_seconds=1.225,
        links=CompletionLinks(
            self=DONE.links.self, file=f"{DONE.links.file}?token=pK3fT0jQ9vXz1u7yB5sWcA", report=DONE.links.report
        ),
    ),
)
HEALTHY = Health(status="ok", checks={"queue": "ok", "storage": "ok"})
FAILING = Health(status="failing", checks={"queue": "queue_unavailable", "storage": "ok"})
KEYS = WebhookKeys(keys=("whpk_9Ix8Qm0i2m3y1u1sVQ6n0gM5m8uJ3qk0T1w7o6b5v4U=",))

ASK = {"url": URL}
ASK_WITH_OPTIONS = {"url": URL, "options": {"format": "A5", "margin": "1cm", "page_numbers": True}}
ASK_PRIVATELY = {
    "url": "https://example.com/members/invoice",
    "private": {"cookies": [{"name": "session", "value": "3b1f0c"}], "headers": {"X-Tenant": "42"}},
}
ASK_FOR_MANY = {"requests": [ASK, {"url": "http://10.0.0.1/"}]}
