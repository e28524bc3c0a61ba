"""Defines the answers of the endpoint as models; `requests` has the models of the requests.

`infra/openapi` makes openapi.json from these models, and the tests compare every answer with it. `api` itself does not
import them, because building models would make cold starts longer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from functions.api.requests import MAX_BATCH, Asked
from urlshot.core.errors import CODES
from urlshot.core.identity import MAX_URL
from urlshot.core.messages import Priority
from urlshot.core.options import Options
from urlshot.core.render_contract import Report, Strict

Id = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{32})$")]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
Seconds = Annotated[int, Field(ge=0)]
Code = TypeAliasType(
    "Code",
    Annotated[
        str,
        Field(
            description="The stable code of what went wrong; programs should use it.",
            json_schema_extra={
                "enum": list(CODES),
                "x-enumDescriptions": {code.name: f"{code.title}. {code.remedy}" for code in CODES.values()},
            },
        ),
    ],
)


class PdfRequest(Asked):
    """The page to print, and how to print it."""

    url: Annotated[Url, Field(min_length=1, max_length=MAX_URL)]
    """The absolute http or https URL of the page."""


class BatchRequest(Strict):
    """Several requests; each is answered as it would be alone."""

    requests: tuple[PdfRequest, ...] = Field(min_length=1, max_length=MAX_BATCH)


class Links(Strict):
    """The links of a job."""

    self: Url
    """The job."""
    file: Url
    """The PDF, for as long as it is kept: the address to store, bookmark or mail. It redirects to a new signed link."""
    report: Url
    """The report of the published PDF."""
    pdf: Url | None = None
    """The PDF itself, by a signed link that works until `link_ends_at`. Absent if there is no PDF."""


class JobError(Strict):
    """The reason why a job failed."""

    code: Code
    title: str
    """The title of the code."""
    detail: str
    """What happened in this case."""
    remedy: str
    """What you can do."""
    retryable: bool
    """Whether the same request may succeed later."""
    field: str | None = None
    """The field of the request that is wrong, as a path such as `options.scale`."""


class PdfThere(Strict):
    """A PDF that exists and is fresh enough."""

    version: Literal[1] = 1
    id: Id
    url: Url | None = None
    """Absent if the record of the job was deleted already."""
    state: Literal["done"]
    bytes: int = Field(ge=0)
    """The size of the PDF."""
    stored_at: datetime
    age: Seconds
    """Seconds since the PDF was stored."""
    kept_until: datetime
    """The PDF is kept at least until then."""
    links: Links
    link_ends_at: datetime
    """When `links.pdf` expires."""


class OlderPdf(Strict):
    """A PDF that an older render made, and that still exists while this job is under way or after it failed."""

    finished_at: datetime
    age: Seconds
    """Seconds since the PDF was stored."""
    report: Report | None = None
    """Absent if no record describes that PDF."""


class Job(Strict):
    """The current state of a job."""

    version: Literal[1] = 1
    id: Id
    """`sha1(url)` in hex if every option has its default, so that any client can compute it. Another `sha1` if options
    differ. Random if the job is private."""
    url: Url
    """The URL in the form in which a browser writes it."""
    state: Literal["publishing", "queued", "running", "done", "failed", "expired"]
    """`expired`: the job was done, and its PDF has been deleted since."""
    priority: Priority
    """`bulk` jobs wait behind `normal` ones and leave some renderers free for them."""
    attempt: int = Field(ge=0)
    """The number of attempts that were used."""
    requested_at: datetime
    finished_at: datetime | None = None
    options: Options
    """The options that differ from their defaults."""
    error: JobError | None = None
    """Why the job failed. Absent unless it did."""
    report: Report | None = None
    """The report of the job's PDF. Absent unless the job is done."""
    bytes: int | None = Field(default=None, ge=0)
    """The size of the existing PDF, which may be an older one."""
    stored_at: datetime | None = None
    """When the existing PDF was stored."""
    age: Seconds | None = None
    """Seconds since the existing PDF was stored."""
    kept_until: datetime | None = None
    """The existing PDF is kept at least until then."""
    older_pdf: OlderPdf | None = None
    """The existing PDF, if an older render made it."""
    links: Links
    link_ends_at: datetime | None = None
    """When `links.pdf` expires."""


class Problem(Strict):
    """What went wrong and what you can do, as a problem of RFC 9457."""

    type: str = Field(pattern=r"^urn:urlshot:problem:[a-z_]+$")
    """`urn:urlshot:problem:` and the code."""
    status: int | None = Field(default=None, ge=400, le=599)
    """The status of the answer. Absent in some answers of API Gateway itself."""
    title: str
    """The title of the code."""
    detail: str
    """What happened in this case."""
    code: Code
    remedy: str
    """What you can do."""
    retryable: bool
    """Whether the same request may succeed later."""
    field: str | None = None
    """The field of the request that is wrong, as a path such as `options.scale`."""
    request_id: str
    """The value of `X-Request-Id`; quote it when you report a problem."""

    id: Id | None = None
    """The id of a job that failed a short time ago and is not rendered again yet. The fields below are about that job
    too."""
    url: Url | None = None
    state: Literal["failed"] | None = None
    retry_after: Seconds | None = None
    """Seconds until a new request renders the job again."""
    links: Links | None = None
    older_pdf: OlderPdf | None = None
    """A PDF that an older render made and that still exists."""


class BatchResult(Strict):
    """The answer to one request of a batch."""

    index: int = Field(ge=0)
    """The position of the request in the batch, from 0."""
    status: int = Field(ge=200, le=599)
    """The status that a single request would get."""
    body: PdfThere | Job | Problem
    """The body that a single request would get."""


class BatchCounts(Strict):
    """The number of requests for each outcome."""

    hit: int = Field(ge=0)
    """A fresh PDF exists."""
    queued: int = Field(ge=0)
    """A new job was queued."""
    joined: int = Field(ge=0)
    """The request joined an existing job."""
    failed: int = Field(ge=0)
    """The job failed a short time ago and is not rendered again yet."""
    refused: int = Field(ge=0)
    """Any other problem."""


class BatchAnswer(Strict):
    """One result for each request, in the order of the requests."""

    results: tuple[BatchResult, ...]
    counts: BatchCounts


class Health(Strict):
    """Whether the endpoint reaches its queue and its storage."""

    status: Literal["ok", "failing"]
    checks: dict[Literal["queue", "storage"], Code | Literal["ok"]]
    """`ok`, or the code of the error."""


class WebhookKeys(Strict):
    """The public keys that verify callbacks."""

    keys: tuple[Annotated[str, Field(pattern=r"^whpk_[A-Za-z0-9+/]+=*$")], ...]
    """Ed25519 keys in the form of Standard Webhooks, the newest first. A callback has one signature for each."""


class CompletionLinks(Strict):
    """Links that do not expire."""

    self: Url
    """The job."""
    file: Url | None = None
    """The PDF; redirects to a new signed link. Absent unless the job is done."""
    report: Url | None = None
    """The report of the PDF. Absent unless the job is done."""


class CompletionData(Strict):
    """The end of a job."""

    version: Literal[1] = 1
    id: Id
    url: Url
    state: Literal["done", "failed"]
    report: Report | None = None
    """The report of the PDF. Absent unless the job is done."""
    error: JobError | None = None
    """Why the job failed. Absent unless it did."""
    attempts: int = Field(ge=0)
    """The number of attempts that were used."""
    cached: bool
    """Whether the job had ended before the request: a fresh PDF existed, or the job failed a short time ago."""
    requested_at: datetime
    finished_at: datetime
    queue_seconds: float = Field(ge=0)
    """From the request to the hand-over of the last attempt; to the end if there was no attempt."""
    render_seconds: float = Field(ge=0)
    """From that hand-over to the end; 0 if there was no attempt."""
    links: CompletionLinks


class Completion(Strict):
    """The body of a callback, in the form of Standard Webhooks."""

    type: Literal["shot.completed", "shot.failed"]
    timestamp: datetime
    """When the job ended."""
    data: CompletionData


ANSWERS: list[Any] = [Job, PdfThere, OlderPdf, Links, JobError, BatchAnswer, Health, WebhookKeys, Problem, Completion]
