"""What `dispatch` asks of `render`, and what comes back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from urlshot.options import Options
from urlshot.private import Private


class Strict(BaseModel):
    """A value that crosses a border: frozen, and with no unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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
    private: Private = Private()
    """The caller's own headers, cookies and password; they end with the job."""


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


class RenderAnswer(Strict):
    """What `render` returns: a report, or an error as `UrlshotError.public()` shows it; and the PDF if asked for."""

    version: Literal[1] = 1
    id: str
    generation: str
    report: Report | None = None
    error: dict[str, Any] | None = None
    pdf: str | None = None
