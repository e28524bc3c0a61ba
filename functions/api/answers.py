"""From what is known of a job to an HTTP answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from urlshot import records
from urlshot.errors import CODES, UrlshotError
from urlshot.identity import file_name
from urlshot.records import Record
from urlshot.store import Pdf, Store

RETRY_SECONDS = 2
"""What Retry-After says while a job is under way."""

NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Place:
    """The address under which this request reached us, stage prefix included, without a slash at its end."""

    base: str

    @classmethod
    def of(cls, event: APIGatewayProxyEvent) -> Place:
        context = event.request_context
        headers = {name.lower(): value for name, value in (event.headers or {}).items()}
        scheme = headers.get("x-forwarded-proto", "https").split(",")[0].strip()
        # With a stage or a custom domain's base path, the context's path is longer than the route's.
        prefix = (context.path or event.path).removesuffix(event.path)
        return cls(f"{scheme}://{context.domain_name}{prefix}")

    def job(self, job_id: str) -> str:
        return f"{self.base}/pdf/{job_id}"

    def file(self, job_id: str) -> str:
        return f"{self.base}/pdf/{job_id}/file"

    def again(self, query: Mapping[str, str], hops: int) -> str:
        return f"{self.base}/pdf?{urlencode({**query, 'hops': hops})}"


def sign(store: Store, job_id: str, url: str, seconds: int, *, save: bool = False) -> str:
    return store.link(job_id, seconds, file_name(url) if url else f"{job_id}.pdf", save=save)


def links(place: Place, store: Store, job_id: str, url: str, seconds: int, *, pdf: bool) -> dict[str, str]:
    """`self` and `file` last; `pdf` is presigned, there when the PDF is, and ends after `seconds`."""
    lasting = {"self": place.job(job_id), "file": place.file(job_id)}
    return {**lasting, "pdf": sign(store, job_id, url, seconds)} if pdf else lasting


def hit(job_id: str, url: str, pdf: Pdf, at: datetime, shown_links: dict[str, str], seconds: int) -> Response[str]:
    """A fresh PDF is there."""
    body = {
        "id": job_id,
        "url": url,
        "state": "done",
        "bytes": pdf.bytes,
        "stored_at": pdf.modified.isoformat(),
        "age": max(0, int((at - pdf.modified).total_seconds())),
        "links": shown_links,
        "link_ends_at": (at + timedelta(seconds=seconds)).isoformat(timespec="seconds"),
    }
    return answer(200, body, {**NO_STORE, "Location": shown_links["self"]})


def job(record: Record, pdf: Pdf | None, shown_links: dict[str, str], *, status: int = 200) -> Response[str]:
    """A job as its record tells it. A done job whose PDF has been cleared away is shown as `expired`."""
    body = record.model_dump(
        mode="json", exclude_none=True, exclude={"options", "announced", "lease_until", "generation", "last_good"}
    )
    body["options"] = record.options.changed()
    if record.state == "done" and pdf is None:
        body["state"] = "expired"
    if record.state != "done" and pdf is not None and record.last_good is not None:
        body["older_pdf"] = record.last_good.model_dump(mode="json", exclude={"generation"})
    body["links"] = shown_links
    headers = {**NO_STORE, "Location": shown_links["self"]}
    if record.state in ("publishing", "queued", "running"):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return answer(status, body, headers)


def failed_recently(record: Record, at: datetime, place: Place) -> Response[str]:
    """The failure of a job that is not tried again yet, as the problem that it was."""
    error = record.error or UrlshotError("internal").public()
    wait = max(1, math.ceil((records.retry_at(record) - at).total_seconds()))
    extra = {"id": record.id, "url": record.url, "state": "failed", "links": {"self": place.job(record.id)}}
    return _problem(error, {**extra, "retry_after": wait}, {"Retry-After": str(wait)})


def problem(error: UrlshotError, extra: Mapping[str, Any] | None = None) -> Response[str]:
    """An error as RFC 9457 has it."""
    headers = {"Retry-After": "5"} if error.code.status == 503 else {}
    return _problem(error.public(), dict(extra or {}), headers)


def _problem(error: dict[str, Any], extra: dict[str, Any], headers: dict[str, str]) -> Response[str]:
    status = CODES[error["code"]].status if error["code"] in CODES else 500
    body = {"type": "about:blank", "status": status, **error, **extra}
    return answer(status, body, {**NO_STORE, **headers}, content_type="application/problem+json")


def redirect(status: int, location: str) -> Response[str]:
    return Response(status_code=status, headers={"Location": location, **NO_STORE})


def answer(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], content_type: str = "application/json"
) -> Response[str]:
    return Response(status_code=status, content_type=content_type, body=json.dumps(body), headers=dict(headers))
