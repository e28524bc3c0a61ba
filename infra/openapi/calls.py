"""The calls of the endpoint: what each takes and what it can answer, in the order in which a person reads them."""

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
"""What API Gateway may say to any call, and what must not happen."""
KEYED = ("api_key_required", "quota_exceeded")
STORED = ("not_found", "storage_unavailable")
"""Of calls that name a job."""
ASKED = (
    "invalid_request", "invalid_url", "url_too_long", "unsupported_scheme", "url_has_credentials", "blocked_target",
    "host_not_allowed", "queue_unavailable", "storage_unavailable", "busy", "overloaded", *sorted(PAGE_CODES),
)  # fmt: skip
"""Of calls that ask for a PDF; the page's own come when it failed a short while ago."""


@dataclass(frozen=True)
class Success:
    """An answer that is no problem; `schema` names a model of `functions.api.contract`."""

    says: str
    schema: str | None = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    examples: Mapping[str, Example] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """`head`: whether HEAD is answered too. `problems` are codes, beside those that every call may give."""

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
        """Every code that it can give."""
        return (*self.problems, *(KEYED if self.key else ()), *ALWAYS)


NOT_MODIFIED = Success("The caller has this already (`If-None-Match`).", headers=("ETag", "Cache-Control"))

CALLS = [
    Call(
        "post",
        "/pdf",
        "askForPdf",
        "PDFs",
        summary="Ask for a PDF",
        text=(
            "Answers at once: with the PDF when a fresh one is there, else with the job that makes it. However many "
            "ask for one URL with the same options, there is one job. A job that failed less than a minute ago is "
            "answered with its problem, and is tried again after that, or at once with `max_age: 0`."
        ),
        body="PdfRequest",
        bodies={
            "plain": examples.ASK,
            "with options": examples.ASK_WITH_OPTIONS,
            "behind a login": examples.ASK_PRIVATELY,
        },
        answers={
            200: Success(
                "A fresh PDF is there.",
                "PdfThere",
                headers=("Location", "Cache-Control"),
                examples={"there": examples.shown(examples.THERE)},
            ),
            202: Success(
                "A job is under way; follow it at `Location`.",
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
        summary=f"Ask for up to {MAX_BATCH} PDFs",
        text=(
            "Each request is answered as if it had come alone; one that is wrong does not keep the others from being "
            "done."
        ),
        body="BatchRequest",
        bodies={"two": examples.ASK_FOR_MANY},
        answers={
            200: Success(
                "One result for each request, in their order.",
                "BatchAnswer",
                headers=("Cache-Control",),
                examples={"one there, one refused": examples.shown(examples.BATCH)},
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
            "For browsers, `curl -L` and everything else that follows redirects: waits until the PDF is there and "
            f"redirects to it. While it is not, the call redirects to itself, up to {MAX_HOPS} times, after "
            f"{WAIT_SECONDS:g} s each. Options go by their names; those with fields of their own have no room in a "
            "query, but for `margin` as one length. Percent-encode the URL of the page. With an API key do "
            "not use `curl -L`, which sends its headers to S3 too: fetch the link without the key."
        ),
        parameters=("url", "max_age", "hops", "options"),
        answers={
            303: Success(
                "To the PDF, by a presigned link; or to this call again, with `hops`, where it is not there yet.",
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
        summary="Look at a job",
        text="With `wait` the answer comes when the job has ended, or after so many seconds.",
        parameters=("id", "wait", "If-None-Match"),
        answers={
            200: Success(
                "The job as it stands; or only its PDF, where its record has been cleared away already.",
                "Job|PdfThere",
                headers=("Location", "Cache-Control", "ETag?", "Retry-After?"),
                examples={
                    "done": examples.shown(examples.DONE),
                    "failed": examples.shown(examples.FAILED),
                    "under way again": examples.shown(examples.RUNNING_AGAIN),
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
        text="Whoever waits for the job hears no more of it. Only an endpoint that asks for API keys deletes.",
        parameters=("id",),
        answers={204: Success("It is gone.", headers=("Cache-Control",))},
        problems=("forbidden", *STORED),
    ),
    Call(
        "get",
        "/pdf/{id}/report",
        "getReport",
        "Jobs",
        summary="Read the report of the PDF that is there",
        text=(
            "Its `verdict` is `complete`, `degraded` (something is missing; `warnings` say what) or `suspect` (it may"
            " not be the page that was meant)."
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
        summary="Go to the PDF",
        text=(
            "The address to keep, mail or bookmark. It needs no API key: where the endpoint asks for keys, its link "
            "has a token."
        ),
        parameters=("id", "token", "download"),
        answers={302: Success("To the PDF, by a link signed just now.", headers=("Location", "Cache-Control"))},
        problems=("forbidden", "invalid_request", "pdf_not_found", *STORED),
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/webhook-keys",
        "getWebhookKeys",
        "Callbacks",
        summary="Read the public keys that verify callbacks",
        text="Ed25519 keys as Standard Webhooks has them.",
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
        summary="See whether the endpoint works",
        text="Whether the function reaches its queue and its storage.",
        answers={
            200: Success(
                "It does.",
                "Health",
                headers=("Cache-Control",),
                examples={"ok": examples.shown(examples.HEALTHY)},
            ),
            503: Success(
                "It does not.",
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
        summary="Read the description of all calls",
        text="Its server address is relative, so that it is right wherever the document was fetched.",
        parameters=("If-None-Match",),
        answers={200: Success("The document.", "object", headers=("ETag", "Cache-Control")), 304: NOT_MODIFIED},
        key=False,
        head=True,
    ),
    Call(
        "get",
        "/",
        "getPage",
        "Endpoint",
        summary="Open the page for people",
        text="Takes a URL, shows the job and offers the PDF.",
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
        summary="Read a file of the page",
        text="Its scripts, styles and icon.",
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
