"""What the endpoint answers, as models: the other half of the contract that `requests` reads.

They are for the document that describes the endpoint (`infra/openapi` makes openapi.json of them) and for the tests,
which hold every answer against it. The function itself does not import them: making models is what a cold start has no
time for, and what it answers is made from models already.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from functions.api.requests import MAX_BATCH, Asked
from urlshot.errors import CODES
from urlshot.identity import MAX_URL
from urlshot.jobs import Report, Strict
from urlshot.messages import Priority
from urlshot.options import Options

Id = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{32})$")]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
Seconds = Annotated[int, Field(ge=0)]
Code = TypeAliasType(
    "Code",
    Annotated[
        str,
        Field(
            description="What went wrong; stable, and what a program should look at.",
            json_schema_extra={
                "enum": list(CODES),
                "x-enumDescriptions": {code.name: f"{code.title}. {code.remedy}" for code in CODES.values()},
            },
        ),
    ],
)


class PdfRequest(Asked):
    """What to print, and how."""

    url: Annotated[Url, Field(min_length=1, max_length=MAX_URL)]
    """The page: an absolute http or https URL."""


class BatchRequest(Strict):
    """Many requests at once; each is answered as if it had come alone."""

    requests: tuple[PdfRequest, ...] = Field(min_length=1, max_length=MAX_BATCH)


class Links(Strict):
    """Where to go from here."""

    self: Url
    """The job."""
    file: Url
    """The PDF, for as long as it is kept: the address to keep, bookmark or mail. It redirects to a fresh link."""
    report: Url
    """The report of the PDF that is there."""
    pdf: Url | None = None
    """The PDF itself, by a presigned link that ends at `link_ends_at`; there when the PDF is."""


class JobError(Strict):
    """Why a job failed."""

    code: Code
    title: str
    """What it is, in general."""
    detail: str
    """What happened this time."""
    remedy: str
    """What can be done about it."""
    retryable: bool
    """Whether the same request may work later."""
    field: str | None = None
    """The part of the request that is at fault, as a path such as `options.scale`."""


class PdfThere(Strict):
    """A PDF that is there and fresh enough."""

    version: Literal[1] = 1
    id: Id
    url: Url | None = None
    """Absent where the job's record has been cleared away already."""
    state: Literal["done"]
    bytes: int = Field(ge=0)
    """Size of the PDF."""
    stored_at: datetime
    age: Seconds
    """Seconds since it was stored."""
    kept_until: datetime
    """It is kept so long at the least."""
    links: Links
    link_ends_at: datetime
    """When `links.pdf` stops working."""


class OlderPdf(Strict):
    """The PDF that is there while this job is under way, or after it failed: an older job made it."""

    finished_at: datetime
    age: Seconds
    """Seconds since it was stored."""
    report: Report | None = None
    """Absent where no record tells of that PDF any more."""


class Job(Strict):
    """A job as it stands."""

    version: Literal[1] = 1
    id: Id
    """`sha1(url)` in hex where every option has its default, so that any client can compute it; another `sha1` where
    options differ; random for a private job."""
    url: Url
    """As a browser writes it."""
    state: Literal["publishing", "queued", "running", "done", "failed", "expired"]
    """`expired`: it was done, and its PDF has been cleared away since."""
    priority: Priority
    """`bulk` waits behind normal jobs and leaves some renderers free for them."""
    attempt: int = Field(ge=0)
    """The number of renders that were started."""
    requested_at: datetime
    finished_at: datetime | None = None
    options: Options
    """Those that differ from their defaults."""
    error: JobError | None = None
    """Why it failed, where it did."""
    report: Report | None = None
    """What is known about its PDF, when it is done."""
    bytes: int | None = Field(default=None, ge=0)
    """Size of the PDF that is there, be it this job's or an older one."""
    stored_at: datetime | None = None
    """When the PDF that is there was stored."""
    age: Seconds | None = None
    """Seconds since the PDF that is there was stored."""
    kept_until: datetime | None = None
    """The PDF that is there is kept so long at the least."""
    older_pdf: OlderPdf | None = None
    """Where the PDF that is there is not this job's."""
    links: Links
    link_ends_at: datetime | None = None
    """When `links.pdf` stops working."""


class Problem(Strict):
    """What went wrong and what to do about it, as RFC 9457 has it."""

    type: str = Field(pattern=r"^urn:urlshot:problem:[a-z_]+$")
    """`urn:urlshot:problem:` and the code."""
    status: int | None = Field(default=None, ge=400, le=599)
    """The status of the answer; absent in some of API Gateway's own."""
    title: str
    """What it is, in general."""
    detail: str
    """What happened this time."""
    code: Code
    remedy: str
    """What can be done about it."""
    retryable: bool
    """Whether the same request may work later."""
    field: str | None = None
    """The part of the request that is at fault, as a path such as `options.scale`."""
    request_id: str
    """As in `X-Request-Id`: what to quote in a report."""

    id: Id | None = None
    """Of a job that failed a short while ago and is not tried again yet; so are all that follow."""
    url: Url | None = None
    state: Literal["failed"] | None = None
    retry_after: Seconds | None = None
    """Seconds until it is tried again for anyone who asks."""
    links: Links | None = None
    older_pdf: OlderPdf | None = None
    """The PDF that is there all the same."""


class BatchResult(Strict):
    """The answer to one request of a batch."""

    index: int = Field(ge=0)
    """Its place among the requests, from 0."""
    status: int = Field(ge=200, le=599)
    """The status that it would have had alone."""
    body: PdfThere | Job | Problem
    """The body that it would have had alone."""


class BatchCounts(Strict):
    """How many requests ended in which way."""

    hit: int = Field(ge=0)
    """A fresh PDF is there."""
    queued: int = Field(ge=0)
    """A job was made."""
    joined: int = Field(ge=0)
    """A job was there already."""
    failed: int = Field(ge=0)
    """The job failed a short while ago, and is not tried again yet."""
    refused: int = Field(ge=0)
    """Every other problem."""


class BatchAnswer(Strict):
    """One result for each request, in their order."""

    results: tuple[BatchResult, ...]
    counts: BatchCounts


class Health(Strict):
    """Whether the function reaches what it needs."""

    status: Literal["ok", "failing"]
    checks: dict[Literal["queue", "storage"], Code | Literal["ok"]]
    """`ok`, or the code of what is wrong."""


class WebhookKeys(Strict):
    """Public keys that verify what is posted to callback URLs."""

    keys: tuple[Annotated[str, Field(pattern=r"^whpk_[A-Za-z0-9+/]+=*$")], ...]
    """Ed25519, as Standard Webhooks has them, the newest first; a callback carries a signature by each."""


class CompletionLinks(Strict):
    """Addresses that last."""

    self: Url
    """The job."""
    file: Url | None = None
    """The PDF: it redirects to a fresh link. There when the job is done."""
    report: Url | None = None
    """The report of the PDF; there when the job is done."""


class CompletionData(Strict):
    """How a job ended."""

    version: Literal[1] = 1
    id: Id
    url: Url
    state: Literal["done", "failed"]
    report: Report | None = None
    """What is known about the PDF, when the job is done."""
    error: JobError | None = None
    """Why it failed, where it did."""
    attempts: int = Field(ge=0)
    """How many renders were started."""
    cached: bool
    """Whether it had ended before it was asked for: a fresh PDF was there, or it failed a short while ago."""
    requested_at: datetime
    finished_at: datetime
    queue_seconds: float = Field(ge=0)
    """From the request to the start of the last render."""
    render_seconds: float = Field(ge=0)
    links: CompletionLinks


class Completion(Strict):
    """What is posted to a `callback_url`, as Standard Webhooks has it."""

    type: Literal["shot.completed", "shot.failed"]
    timestamp: datetime
    """When the job ended."""
    data: CompletionData


ANSWERS: list[Any] = [Job, PdfThere, OlderPdf, Links, JobError, BatchAnswer, Health, WebhookKeys, Problem, Completion]
