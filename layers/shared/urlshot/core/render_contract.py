"""Defines the contract between `dispatch`, `render` and `settle`: the render job, its answer and its report."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from urlshot.core.errors import encodable
from urlshot.core.options import DEFAULTS, JobOptions
from urlshot.core.private import Private, no_secrets


class Strict(BaseModel):
    """Base of the contract's models: frozen, and without unknown fields.

    Pydantic builds a validator only when it is first used, because `api` answers a hit without any of these models.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


PageText = Annotated[str, BeforeValidator(lambda value: encodable(value) if isinstance(value, str) else value)]
"""A text that a page wrote. Lone surrogates, which JavaScript has and UTF-8 has not, become question marks."""


class Limits(Strict):
    """The limits of one job, in seconds, bytes and counts."""

    seconds: float = Field(default=60.0, gt=0, le=600)
    """Seconds from the start of the job to its answer; less if the function has less time left."""
    pdf_bytes: int = Field(default=50_000_000, gt=0, le=200_000_000)
    page_bytes: int = Field(default=100_000_000, gt=0, le=1_000_000_000)
    """Bytes that the page and its resources may have together."""
    connections: int = Field(default=2000, gt=0, le=10_000)
    pages: int = Field(default=2000, gt=0, le=20_000)
    """Pages of the PDF."""


class Upload(Strict):
    """A presigned POST for exactly one key. The PDF is its last field, named `file`."""

    url: str
    fields: dict[str, str]


class Slot(Strict):
    """A taken slot (`urlshot.adapters.slots`): its number, and the ETag with which its holder frees it."""

    number: int = Field(ge=0, le=999)
    etag: str = Field(max_length=100)


class RenderJob(Strict):
    """The job that `dispatch` gives to `render`.

    Lambda passes the job to `settle` beside the answer. `settle` identifies the claim by the job, never by the answer:
    the answer comes from a process that runs strangers' JavaScript.
    """

    version: Literal[1] = 1
    id: str = Field(max_length=64)
    generation: str = Field(max_length=64)
    claim: str = Field(default="", max_length=64)
    slot: Slot | None = None
    lease_until: datetime | None = None
    """When the claim ends. `render` does not start if too little time is left."""
    handed_over_at: datetime | None = None
    """When `dispatch` invoked `render`."""
    phases: dict[str, float] = {}
    """Milliseconds of the phases before the hand-over: `queue`, and `wait` (for a slot)."""
    correlation_id: str = Field(default="", max_length=255)
    """Identifies the request in log lines and in the completion message."""
    url: str = Field(max_length=2048)
    options: JobOptions = DEFAULTS
    limits: Limits = Limits()
    upload: Upload | None
    """Where the PDF goes; null puts it into the answer, as base64."""
    html: str | None = Field(default=None, max_length=1_000_000)
    """A page to print in place of the one at the URL, for test events; the API does not offer it."""
    private: Private = Field(default_factory=no_secrets)
    """The caller's headers, cookies and password; they are kept no longer than the job."""


MOST = 20
"""Most entries of each list in a report."""
MAX_REPORT = 48_000
"""Most bytes of a report as JSON, so that it fits into a record, an event (256 kB) and a message."""

Verdict = Literal["complete", "degraded", "suspect"]
"""`degraded`: something is missing, and the warnings say what. `suspect`: this may be a wrong page, such as a login."""


class Hop(Strict):
    """One document that led to the page, by a redirect or a script: its URL and its HTTP status."""

    url: str = Field(max_length=2048)
    status: int


class Trouble(Strict):
    """A resource that was not loaded: its URL without the query, the reason, and the kind of resource."""

    url: str = Field(max_length=500)
    reason: str = Field(max_length=200)
    kind: str = Field(default="", max_length=20)


class Wait(Strict):
    """One wait before the print: its name, its length in milliseconds, and whether it reached its limit."""

    what: str = Field(max_length=40)
    milliseconds: float
    timed_out: bool = False


class Warned(Strict):
    """A warning: a stable code, and a sentence for people."""

    code: str = Field(max_length=40)
    text: str = Field(max_length=300)


ConsentOutcome = Literal["none", "rejected", "hidden", "failed"]
"""What happened to the cookie banner: `none` was seen; it was `rejected`; it was `hidden` only, because it has no way
to reject; or rejecting `failed`, and the banner stayed until the time was over."""


class Tidied(Strict):
    """What the tidy options did to the page."""

    blocked: dict[str, int] = {}
    """Number of requests that the option `block` prevented, for each of its values."""
    urls: tuple[str, ...] = Field(default=(), max_length=20)
    """The first of these requests, without their queries."""
    consent: ConsentOutcome | None = None
    """What happened to the cookie banner; null if banners were to be kept."""
    banner: PageText = Field(default="", max_length=100)
    """The name of the banner in the library autoconsent."""


class Report(Strict):
    """The facts about one PDF."""

    version: Literal[1] = 1
    source: Literal["page", "pdf"] = "page"
    """`pdf`: the URL served a PDF, which was stored unchanged."""
    verdict: Verdict = "complete"
    """`degraded`: something is missing, and the warnings say what. `suspect`: this may be a wrong page."""
    warnings: tuple[Warned, ...] = Field(default=(), max_length=MOST)
    final_url: str
    """URL of the page when it was printed, after all redirects."""
    status: int
    """HTTP status of the page; 0 if there was none."""
    title: PageText = Field(max_length=500)
    pages: int
    """Number of pages; 0 if it cannot be read from a PDF that was stored unchanged."""
    bytes: int
    sha256: str
    """Hash of the PDF, in hex."""
    redirects: tuple[Hop, ...] = Field(default=(), max_length=MOST)
    """The documents that led to the page, in order, without the page itself."""
    waited: tuple[Wait, ...] = Field(default=(), max_length=MOST)
    """The waits before the print."""
    failed: tuple[Trouble, ...] = Field(default=(), max_length=MOST)
    """Resources that were not loaded."""
    blocked: tuple[Trouble, ...] = Field(default=(), max_length=MOST)
    """Resources that the egress rules refused."""
    console: tuple[PageText, ...] = Field(default=(), max_length=MOST)
    """Errors of the page's scripts. The texts are the page's own: show them as text, never as markup."""
    images_missing: tuple[str, ...] = Field(default=(), max_length=MOST)
    """URLs of images that are missing in the print."""
    glyphs_missing: tuple[str, ...] = Field(default=(), max_length=MOST)
    """Unicode names of the scripts whose characters are printed as empty boxes."""
    phases: dict[str, float]
    """Milliseconds of each phase, in order: `queue` (until dispatch has the message), `wait` (for a slot), `hand_over`
    (to render), `start`, `navigate`, `settle`, `print` and `upload`."""
    network: dict[str, int]
    """Bytes received and sent, connections opened, and connections refused by the egress rules."""
    chromium: str
    """Version of the browser."""
    cold: bool
    """Whether this job was the first of its process."""
    tidied: Tidied | None = None
    """Effects of the tidy options; null if none was given."""
    gb_seconds: float = 0.0
    """Estimate: seconds of the job times the function's memory in GB; 0 if the memory is unknown."""

    def bounded(self) -> Report:
        """Returns the report within `MAX_REPORT` bytes, with all its lists shortened alike if necessary."""
        report, most = self, MOST
        while most > 0 and len(json.dumps(report.model_dump(mode="json"))) > MAX_REPORT:
            most //= 2
            lists = ("redirects", "failed", "blocked", "console", "images_missing")
            report = self.model_copy(update={name: getattr(self, name)[:most] for name in lists})
        return report


class RenderAnswer(Strict):
    """The answer of `render`: a report, or an error in the form of `UrlshotError.public()`."""

    version: Literal[1] = 1
    id: str
    generation: str
    report: Report | None = None
    error: dict[str, Any] | None = None
    etag: str | None = Field(default=None, max_length=100)
    """S3's ETag of the uploaded PDF."""
    pdf: str | None = None
    """The PDF as base64, if the job has no upload."""
