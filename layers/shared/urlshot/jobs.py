"""The contract between `dispatch`, `render` and `settle`: a render job, and what comes back for it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from urlshot.options import Options
from urlshot.private import Private


class Strict(BaseModel):
    """A value that crosses a border: frozen, and with no unknown names. Its validator is built when it is first used,
    because a function that is asked for a PDF which is there needs none of it to answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class Limits(Strict):
    """What one job may use. Seconds, bytes and counts."""

    seconds: float = Field(default=60.0, gt=0, le=600)
    """From the start of the job to its answer; the function's own remaining time may shorten it."""
    pdf_bytes: int = Field(default=50_000_000, gt=0, le=200_000_000)
    page_bytes: int = Field(default=100_000_000, gt=0, le=1_000_000_000)
    """Bytes that the page may load in all."""
    connections: int = Field(default=2000, gt=0, le=10_000)
    pages: int = Field(default=2000, gt=0, le=20_000)
    """Pages that a PDF may have."""


class Upload(Strict):
    """A presigned POST for exactly one key; the PDF is the last field, named `file`."""

    url: str
    fields: dict[str, str]


class Slot(Strict):
    """A slot that was taken (urlshot/slots.py): its number, and the ETag by which its holder gives it back."""

    number: int = Field(ge=0, le=999)
    etag: str = Field(max_length=100)


class RenderJob(Strict):
    """One job for `render`. With `upload` null the PDF comes back in the answer, as base64.

    Lambda hands the job back to `settle` beside the answer. What `settle` needs to know a claim by, it takes from here:
    the answer comes from a process that runs strangers' JavaScript.

    `html` stands in place of the page at the URL, so that an event can bring its own page; the API does not offer it.
    """

    version: Literal[1] = 1
    id: str = Field(max_length=64)
    generation: str = Field(max_length=64)
    claim: str = Field(default="", max_length=64)
    slot: Slot | None = None
    lease_until: datetime | None = None
    """When the claim ends; `render` begins nothing that it could not finish by then."""
    handed_over_at: datetime | None = None
    """When `dispatch` invoked `render`."""
    phases: dict[str, float] = {}
    """Milliseconds of the phases before the hand-over: `queue`, and `wait` for a slot."""
    correlation_id: str = Field(default="", max_length=255)
    """Names the request in log lines and in the completion message."""
    url: str = Field(max_length=2048)
    options: Options = Options()
    limits: Limits = Limits()
    upload: Upload | None
    html: str | None = Field(default=None, max_length=1_000_000)
    private: Private = Private()
    """The caller's own headers, cookies and password; they end with the job."""


MOST = 20
"""Entries of each list in a report."""
MAX_REPORT = 48_000
"""Bytes of a report as JSON, so that a record, an event (256 kB) and a message carry it with ease."""

Verdict = Literal["complete", "degraded", "suspect"]
"""`degraded`: something is missing, the warnings say what. `suspect`: it may not be the page that was meant at all."""


class Hop(Strict):
    """One document on the way to the page: its URL and the status that it was answered with."""

    url: str = Field(max_length=2048)
    status: int


class Trouble(Strict):
    """A sub-resource that did not arrive: its URL without the query, why, and what kind of resource it was to be."""

    url: str = Field(max_length=500)
    reason: str = Field(max_length=200)
    kind: str = Field(default="", max_length=20)


class Wait(Strict):
    """Something that was waited for, how long in milliseconds, and whether it came within its limit."""

    what: str = Field(max_length=40)
    milliseconds: float
    timed_out: bool = False


class Warned(Strict):
    """A stable code, and a sentence for people."""

    code: str = Field(max_length=40)
    text: str = Field(max_length=300)


ConsentOutcome = Literal["none", "rejected", "hidden", "failed"]
"""Of a cookie banner: `none` was seen, `rejected`, only `hidden` because it offers no way to say no, or `failed`: it is
still there, or was when the time was up."""


class Tidied(Strict):
    """What the tidy options did to the page."""

    blocked: dict[str, int] = {}
    """Requests that `block` kept from being made, counted by the option's value."""
    urls: tuple[str, ...] = Field(default=(), max_length=20)
    """The first of them, without their queries."""
    consent: ConsentOutcome | None = None
    """What became of a cookie banner; null where it was to be kept."""
    banner: str = Field(default="", max_length=100)
    """The library's name for that banner."""


class Report(Strict):
    """What is known about a PDF that was made."""

    version: Literal[1] = 1
    source: Literal["page", "pdf"] = "page"
    """`pdf`: the URL served a PDF, which was stored as it is."""
    verdict: Verdict = "complete"
    """`degraded`: something is missing, the warnings say what. `suspect`: it may not be the page that was meant."""
    warnings: tuple[Warned, ...] = Field(default=(), max_length=MOST)
    final_url: str
    """Where redirects and scripts had led when it was printed."""
    status: int
    """HTTP status of the page; 0 where there was none."""
    title: str = Field(max_length=500)
    pages: int
    """0 where a PDF that was stored as it is does not say it plainly."""
    bytes: int
    sha256: str
    """Of the PDF, in hex."""
    redirects: tuple[Hop, ...] = Field(default=(), max_length=MOST)
    """The documents on the way to the page, in order, without the page itself."""
    waited: tuple[Wait, ...] = Field(default=(), max_length=MOST)
    """What was waited for before it was printed."""
    failed: tuple[Trouble, ...] = Field(default=(), max_length=MOST)
    """Sub-resources that did not arrive."""
    blocked: tuple[Trouble, ...] = Field(default=(), max_length=MOST)
    """Sub-resources that the egress rules refused."""
    console: tuple[str, ...] = Field(default=(), max_length=MOST)
    """Errors of the page's scripts, in a stranger's words: to be shown as text, never as markup."""
    images_missing: tuple[str, ...] = Field(default=(), max_length=MOST)
    """URLs of images that are printed as nothing."""
    glyphs_missing: tuple[str, ...] = Field(default=(), max_length=MOST)
    """Writing systems, as Unicode names them, of signs that are printed as empty boxes."""
    phases: dict[str, float]
    """Milliseconds of each phase, in order: `queue` until dispatch has the message, `wait` for a slot, `hand_over` to
    render, `start`, `navigate`, `settle`, `print` and `upload`."""
    network: dict[str, int]
    """Bytes received and sent, connections made, and connections refused by the egress rules."""
    chromium: str
    """The browser's version."""
    cold: bool
    """Whether this job was the first of its process."""
    tidied: Tidied | None = None
    """Null where no tidy option was given."""
    gb_seconds: float = 0.0
    """Estimated: seconds of the job times the function's memory; 0 where that is not known."""

    def bounded(self) -> Report:
        """The report within MAX_REPORT; where texts are long, its lists are shortened, all alike."""
        report, most = self, MOST
        while most > 0 and len(json.dumps(report.model_dump(mode="json"))) > MAX_REPORT:
            most //= 2
            lists = ("redirects", "failed", "blocked", "console", "images_missing")
            report = self.model_copy(update={name: getattr(self, name)[:most] for name in lists})
        return report


class RenderAnswer(Strict):
    """What `render` returns: a report, or an error as `UrlshotError.public()` shows it; and the PDF if asked for."""

    version: Literal[1] = 1
    id: str
    generation: str
    report: Report | None = None
    error: dict[str, Any] | None = None
    etag: str | None = Field(default=None, max_length=100)
    """S3's ETag of the uploaded PDF."""
    pdf: str | None = None
