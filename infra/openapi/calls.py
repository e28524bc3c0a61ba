"""Lists the calls of the endpoint with their parameters, bodies and answers, in a good order for readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.api.requests import MAX_BATCH, MAX_HOPS
from functions.api.waiting import WAIT_SECONDS
from infra.openapi import examples
from urlshot.core.errors import PAGE_CODES

Example = Mapping[str, Any]

ALWAYS = ("refused", "rate_limited", "internal", "not_ready")
"""Codes that every call may answer: those of API Gateway, and `internal`."""
KEYED = ("api_key_required", "quota_exceeded")
"""Codes of calls that need an API key."""
STORED = ("not_found", "storage_unavailable")
"""Codes of calls for one job."""
ASKED = (
    "invalid_request", "invalid_url", "url_too_long", "unsupported_scheme", "url_has_credentials", "blocked_target",
    "host_not_allowed", "queue_unavailable", "storage_unavailable", "busy", "overloaded", *sorted(PAGE_CODES),
)  # fmt: skip
"""Codes of calls that request a PDF. `PAGE_CODES` report a job that failed less than a minute ago."""


@dataclass(frozen=True)
class Success:
    """Describes a successful answer. `schema` names a model of `functions.api.contract`."""

    says: str
    schema: str | None = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    examples: Mapping[str, Example] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """Describes one call.

    Attributes:
        problems: the codes of its problems, without those in `KEYED` and `ALWAYS`.
        key: whether the call needs an API key.
        head: whether the path also answers HEAD.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    text: str
    answers: Mapping[int, Success]
    problems: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str | None = None
    bodies: Mapping[str, Example] = field(default_factory=dict)
    key: bool = True
    head: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """Returns every code that the call can answer."""
        return (*self.problems, *(KEYED if self.key else ()), *ALWAYS)


NOT_MODIFIED = Success("The caller's copy is current (`If-None-Match`).", headers=("ETag", "Cache-Control"))

CALLS = [
    Call(
        "post",
        "/pdf",
        "askForPdf",
        "PDFs",
        summary="Request a PDF",
        text=(
            "Answers immediately: with links to the PDF if a fresh one exists, otherwise with the job that makes it. "
            "All requests for the same URL and options share one job. If the job failed less than a minute ago, the "
            "answer is its problem. After that minute, or with `max_age: 0`, a request starts the job again."
        ),
        body="PdfRequest",
        bodies={
            "plain": examples.ASK,
            "with options": examples.ASK_WITH_OPTIONS,
            "behind a login": examples.ASK_PRIVATELY,
        },
        answers={
            200: Success(
                "A fresh PDF exists.",
                "PdfThere",
                headers=("Location", "Cache-Control"),
                examples={"there": examples.shown(examples.THERE)},
            ),
            202: Success(
                "A job makes the PDF; poll it at `Location`.",
                "Job",
                headers=("Location", "Retry-After", "Cache-Control"),
                examples={"queued": examples.shown(examples.QUEUED)},
            ),
        },
        problems=("invalid_json", "body_too_large", "callback_not_allowed", "notify_not_allowed", *ASKED),
    ),
    Call(
        "post",
        "/pdf/batch",
        "askForManyPdfs",
        "PDFs",
        summary=f"Request up to {MAX_BATCH} PDFs",
        text="Each request gets the answer that `POST /pdf` would give. An invalid request does not affect the others.",
        body="BatchRequest",
        bodies={"two": examples.ASK_FOR_MANY},
        answers={
            200: Success(
                "One result for each request, in the order of the requests.",
                "BatchAnswer",
                headers=("Cache-Control",),
                examples={"one fresh PDF, one refused": examples.shown(examples.BATCH)},
            )
        },
        problems=("invalid_json", "body_too_large", "invalid_request"),
    ),
    Call(
        "get",
        "/pdf",
        "getPdf",
        "PDFs",
        summary="Download a PDF of a URL",
        text=(
            "For browsers, `curl -L` and other clients that follow redirects. The call waits until the PDF exists and "
            f"redirects to it. If there is no PDF after {WAIT_SECONDS:g} s, the call redirects to itself, up to "
            f"{MAX_HOPS} times. Each option is a query parameter; options that are objects are not available, except "
            "`margin` as one length. Percent-encode the URL of the page. Do not use `curl -L` with an API key, because "
            "it also sends the key to S3; fetch the link without the key."
        ),
        parameters=("url", "max_age", "hops", "options"),
        answers={
            303: Success(
                "Redirects to the PDF by a presigned link, or to this call with `hops` if there is no PDF yet.",
                headers=("Location", "Cache-Control"),
            )
        },
        problems=("too_many_waiting", *ASKED),
        head=True,
    ),
    Call(
        "get",
        "/pdf/{id}",
        "getJob",
        "Jobs",
        summary="Get a job",
        text="With `wait`, the answer comes when the job has ended, or after that many seconds.",
        parameters=("id", "wait", "If-None-Match"),
        answers={
            200: Success(
                "The current state of the job; or only its PDF, if the record has expired.",
                "Job|PdfThere",
                headers=("Location", "Cache-Control", "ETag?", "Retry-After?"),
                examples={
                    "done": examples.shown(examples.DONE),
                    "failed": examples.shown(examples.FAILED),
                    "running again": examples.shown(examples.RUNNING_AGAIN),
                },
            ),
            304: NOT_MODIFIED,
        },
        problems=("invalid_request", *STORED),
        head=True,
    ),
    Call(
        "delete",
        "/pdf/{id}",
        "deleteJob",
        "Jobs",
        summary="Delete a job and its PDF",
        text="The end of a deleted job is not announced. Only endpoints that require API keys allow this call.",
        parameters=("id",),
        answers={204: Success("The job and its PDF are deleted.", headers=("Cache-Control",))},
        problems=("forbidden", *STORED),
    ),
    Call(
        "get",
        "/pdf/{id}/report",
        "getReport",
        "Jobs",
        summary="Get the report of the stored PDF",
        text=(
            "The `verdict` is `complete`, `degraded` (something is missing; `warnings` say what) or `suspect` (the PDF "
            "may not show the requested page)."
        ),
        parameters=("id", "If-None-Match"),
        answers={
            200: Success(
                "The report.",
                "Report",
                headers=("ETag", "Cache-Control"),
                examples={"complete": examples.shown(examples.REPORT)},
            ),
            304: NOT_MODIFIED,
        },
        problems=("report_not_found", *STORED),
        head=True,
    ),
    Call(
        "get",
        "/pdf/{id}/file",
        "getFile",
        "Jobs",
        summary="Open the PDF",
        text=(
            "A permanent link to store, mail or bookmark. It needs no API key: if the endpoint requires keys, the link "
            "has a token."
        ),
        parameters=("id", "token", "download"),
        answers={302: Success("Redirects to the PDF by a new presigned link.", headers=("Location", "Cache-Control"))},
        problems=("forbidden", "invalid_request", "pdf_not_found", *STORED),
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/webhook-keys",
        "getWebhookKeys",
        "Callbacks",
        summary="Get the public keys that verify callbacks",
        text="Ed25519 keys in the form of Standard Webhooks.",
        answers={
            200: Success(
                "The keys.",
                "WebhookKeys",
                headers=("Cache-Control",),
                examples={"one": examples.shown(examples.KEYS)},
            )
        },
        problems=("storage_unavailable",),
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/health",
        "getHealth",
        "Endpoint",
        summary="Check whether the endpoint works",
        text="Checks whether the function reaches its queue and its storage.",
        answers={
            200: Success(
                "The endpoint works.",
                "Health",
                headers=("Cache-Control",),
                examples={"ok": examples.shown(examples.HEALTHY)},
            ),
            503: Success(
                "The queue or the storage does not answer.",
                "Health",
                headers=("Cache-Control",),
                examples={"failing": examples.shown(examples.FAILING)},
            ),
        },
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/openapi.json",
        "getOpenApi",
        "Endpoint",
        summary="Get the OpenAPI description",
        text="Its server address is relative, so it is correct at every address of the endpoint.",
        parameters=("If-None-Match",),
        answers={200: Success("The description.", "object", headers=("ETag", "Cache-Control")), 304: NOT_MODIFIED},
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/",
        "getPage",
        "Endpoint",
        summary="Open the web page",
        text="A form for a URL that shows the job and links to the PDF.",
        parameters=("If-None-Match",),
        answers={
            200: Success("The page.", "string", "text/html", headers=("ETag", "Cache-Control")),
            304: NOT_MODIFIED,
        },
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/page/{name}",
        "getPageFile",
        "Endpoint",
        summary="Get a file of the web page",
        text="Scripts, styles and the icon.",
        parameters=("name", "v", "If-None-Match"),
        answers={
            200: Success(
                "The file.", "string", "text/css|text/javascript|image/svg+xml", headers=("ETag", "Cache-Control")
            ),
            304: NOT_MODIFIED,
        },
        problems=("not_found",),
        key=False,
        head=True,
    ),
]
