"""What `dispatch` asks of `render`, and what comes back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from urlshot.options import Options


class Strict(BaseModel):
    """A value that crosses a border: frozen, and with no unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Strict):
    """What one job may use. Seconds, bytes and counts."""

    seconds: float = Field(default=60.0, gt=0, le=600)
    """From the start of the job to its answer; the function's own remaining time may shorten it."""
    pdf_bytes: int = Field(default=50_000_000, gt=0, le=200_000_000)
    page_bytes: int = Field(default=100_000_000, gt=0, le=1_000_000_000)
    """Bytes that the page may load in all."""
    connections: int = Field(default=2000, gt=0, le=10_000)


class Upload(Strict):
    """A presigned POST for exactly one key; the PDF is the last field, named `file`."""

    url: str
    fields: dict[str, str]


class RenderJob(Strict):
    """One job for `render`. With `upload` null the PDF comes back in the answer, as base64.

    `html` stands in place of the page at the URL, so that an event can bring its own page; the API does not offer it.
    """

    version: Literal[1] = 1
    id: str = Field(max_length=64)
    generation: str = Field(max_length=64)
    url: str = Field(max_length=2048)
    options: Options = Options()
    limits: Limits = Limits()
    upload: Upload | None
    html: str | None = Field(default=None, max_length=1_000_000)


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
    final_url: str
    status: int
    """HTTP status of the page; 0 where there was none."""
    title: str = Field(max_length=500)
    pages: int
    bytes: int
    sha256: str
    phases: dict[str, float]
    """Milliseconds of start, navigate, settle, print and upload."""
    network: dict[str, int]
    """Bytes received and sent, connections made, and connections refused by the egress rules."""
    chromium: str
    cold: bool
    """Whether this job was the first of its process."""
    tidied: Tidied | None = None
    """Null where no tidy option was given."""


class RenderAnswer(Strict):
    """What `render` returns: a report, or an error as `UrlshotError.public()` shows it; and the PDF if asked for."""

    version: Literal[1] = 1
    id: str
    generation: str
    report: Report | None = None
    error: dict[str, Any] | None = None
    pdf: str | None = None
