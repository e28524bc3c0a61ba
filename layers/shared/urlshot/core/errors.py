"""Defines the errors of urlshot: three kinds and a closed list of codes.

    UrlshotError
    ├── Rejected    the request or the page is at fault: a problem answer over HTTP, or a failed job
    ├── Transient   a temporary fault: the same request or message may succeed later
    └── Broken      urlshot is at fault: the function fails, an alarm fires, and the caller sees no details

Each adapter translates its vendor's errors into these. No error of botocore, amqp or Chromium leaves its adapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Code:
    """One entry of the closed list of error codes."""

    name: str
    status: int
    """HTTP status of an answer with this error."""
    retryable: bool
    """Whether the same request may succeed later."""
    title: str
    """What happened, as a clause without a full stop."""
    remedy: str
    """What the caller can do, as a sentence."""


_REQUEST = [
    Code("invalid_json", 400, False, "The body is not JSON", 'Send a JSON object such as {"url": "https://…"}.'),
    Code("invalid_request", 422, False, "A field of the request is invalid", "Correct the field named in `field`."),
    Code("body_too_large", 413, False, "The body is too large", "Send at most 64 kB, or 1 MB for a batch."),
    Code("invalid_url", 422, False, "The URL is invalid", "Send an absolute URL with a host."),
    Code("url_too_long", 422, False, "The URL is too long", "Send a URL of at most 2,048 characters."),
    Code("unsupported_scheme", 422, False, "The URL's scheme is not http or https", "Send an http:// or https:// URL."),
    Code(
        "url_has_credentials",
        422,
        False,
        "The URL contains a user name or password",
        "Remove them from the URL. For a page behind basic auth, send private.basic_auth.",
    ),
    Code(
        "blocked_target",
        422,
        False,
        "The target is not on the public internet",
        "Send the URL of a page that is reachable from the public internet.",
    ),
    Code(
        "host_not_allowed",
        422,
        False,
        "This endpoint does not print pages of this host",
        "Send a URL whose host the endpoint's AllowHosts and DenyHosts permit.",
    ),
    Code(
        "callback_not_allowed",
        422,
        False,
        "This endpoint does not call this callback_url",
        "Send an https:// URL. Without an API key, its host must be in the endpoint's CallbackHosts.",
    ),
    Code(
        "notify_not_allowed",
        422,
        False,
        "This endpoint does not send mail to this address",
        "Send an address that is in the endpoint's NotifyAllow, or whose @domain is.",
    ),
    Code(
        "not_found",
        404,
        False,
        "There is nothing at this address",
        "Check the address. To make a PDF, POST a URL to /pdf.",
    ),
    Code(
        "method_not_allowed",
        405,
        False,
        "This address does not accept this method",
        "Use a method named in the header Allow.",
    ),
    Code("pdf_not_found", 404, False, "This job has no PDF", "Look at the job's state, or request the PDF again."),
    Code(
        "report_not_found",
        404,
        False,
        "This job has no report",
        "Look at the job's state. A job has a report when it has a PDF.",
    ),
    Code(
        "api_key_required",
        403,
        False,
        "The API key is missing or unknown",
        "Send your key in the header x-api-key. The operator of the endpoint issues keys.",
    ),
    Code(
        "forbidden",
        403,
        False,
        "This request is not allowed",
        "Use the link to the file with its token. Deleting works only on an endpoint with API keys.",
    ),
    Code("refused", 403, False, "API Gateway refused the request", "See `detail` for the reason."),
    Code("rate_limited", 429, True, "There are too many requests", "Try again after a few seconds."),
    Code(
        "quota_exceeded",
        429,
        True,
        "The quota of this API key is used up",
        "Wait until the quota's next day, week or month, or ask the operator of the endpoint to raise it.",
    ),
]
_SERVICE = [
    Code("not_ready", 504, True, "The PDF is not ready yet", "Try again, or poll the job at /pdf/{id}."),
    Code("queue_unavailable", 503, True, "The queue is unavailable", "Try again after the time in Retry-After."),
    Code("storage_unavailable", 503, True, "The storage is unavailable", "Try again after a few seconds."),
    Code(
        "too_many_waiting",
        503,
        True,
        "Too many requests are waiting for their PDF",
        "POST the URL to /pdf, which does not wait, or try again after the time in Retry-After.",
    ),
    Code("busy", 503, True, "The request could not be accepted in time", "Try again after a few seconds."),
    Code(
        "message_expired",
        503,
        True,
        "The message expired before it was handled",
        "Publish it again with a longer expiration, or without one.",
    ),
    Code("overloaded", 503, True, "The job waited too long", "Try again later, when fewer jobs are waiting."),
    Code("throttled", 503, True, "All renderers are busy", "Wait. The job stays in the queue and is tried again."),
    Code(
        "internal",
        500,
        True,
        "An internal error occurred",
        "Try again. If it fails again, report the id of the request.",
    ),
]
_PAGE = [
    Code("name_not_found", 502, True, "The page's host name does not resolve", "Check the host name in the URL."),
    Code(
        "connection_refused",
        502,
        True,
        "The page's server refused the connection",
        "Check the host and port in the URL.",
    ),
    Code("connection_failed", 502, True, "The connection to the page's server failed", "Try again later."),
    Code(
        "tls_error",
        502,
        False,
        "The TLS connection to the page's server failed",
        "Ask the page's operator to correct its TLS.",
    ),
    Code("page_status", 502, False, "The page answered with an error status", "Check that the URL opens in a browser."),
    Code("page_unavailable", 502, True, "The page's server is overloaded or broken", "Try again later."),
    Code(
        "resources_failed",
        502,
        True,
        "Resources of the page did not load",
        "Try again later, or remove resources from fail_on.",
    ),
    Code(
        "resources_missing",
        502,
        False,
        "Resources of the page are missing",
        "Correct the page, or remove resources from fail_on.",
    ),
    Code(
        "console_errors",
        502,
        False,
        "The page's scripts reported errors",
        "Correct the page, or remove console from fail_on.",
    ),
    Code("too_many_redirects", 502, False, "The page redirects too often", "Check that the URL opens in a browser."),
    Code(
        "unsupported_content", 415, False, "The URL does not lead to a page", "Send the URL of a web page or of a PDF."
    ),
    Code("invalid_option", 422, False, "An option does not fit this page", "Correct the option named in `detail`."),
    Code(
        "too_large",
        413,
        False,
        "The page or its PDF is too large",
        "Print fewer pages with page_ranges, or leave content out with block.",
    ),
    Code(
        "too_much_memory",
        413,
        False,
        "The page needs too much memory",
        "Leave content out with block or hide, or split the page. The operator can raise RenderMemory.",
    ),
    Code("too_many_pages", 413, False, "The PDF has too many pages", "Print fewer pages with page_ranges."),
    Code(
        "timeout",
        504,
        True,
        "The page was not ready in time",
        "Try again later, or with a wait_until that waits for less.",
    ),
    Code(
        "crash",
        502,
        True,
        "The browser crashed on this page",
        "Try again. If it fails again, the page may need too much memory.",
    ),
]

CODES: dict[str, Code] = {code.name: code for code in (*_REQUEST, *_SERVICE, *_PAGE)}
PAGE_CODES = frozenset(code.name for code in _PAGE)
"""The codes of faults of the page; the request is valid."""


def encodable(text: str) -> str:
    """Returns a text with a question mark for each lone surrogate, which JSON can contain and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


class UrlshotError(Exception):
    """An error with a code of `CODES`.

    Attributes:
        code: The entry of `CODES`.
        detail: What happened this time, as one sentence for the caller.
        internal: What only our logs may show.
        field: The part of the request that is wrong, as a path such as `options.scale`; None if no part is.
    """

    def __init__(self, code: str, detail: str = "", *, internal: str = "", field: str | None = None) -> None:
        self.code = CODES[code]
        self.detail = detail or f"{self.code.title}."
        self.internal = internal
        self.field = field
        super().__init__(f"{code}: {self.detail}" + (f" [{internal}]" if internal else ""))

    @property
    def retryable(self) -> bool:
        return self.code.retryable

    def public(self) -> dict[str, Any]:
        """Returns what the caller may see: code, title, detail, remedy, retryable, and `field` if one is wrong."""
        shown: dict[str, Any] = {
            "code": self.code.name,
            "title": self.code.title,
            "detail": self.detail,
            "remedy": self.code.remedy,
            "retryable": self.retryable,
        }
        if self.field is not None:
            shown["field"] = self.field
        return shown


class Rejected(UrlshotError):
    """The request or the page is at fault. The same request would fail again."""


class Transient(UrlshotError):
    """A temporary fault. The same request or message may succeed later."""


class Broken(UrlshotError):
    """A fault of urlshot: wrong settings or an impossible state. It leaves the function, so Lambda counts an error."""

    def __init__(self, internal: str) -> None:
        super().__init__("internal", internal=internal)


def failure(code: str, detail: str = "", *, internal: str = "") -> Rejected | Transient:
    """Returns a page's error: `Transient` if the code is retryable, otherwise `Rejected`."""
    kind = Transient if CODES[code].retryable else Rejected
    return kind(code, detail, internal=internal)
