"""The errors of urlshot: three kinds, and a closed list of codes.

    UrlshotError
    ├── Rejected    the caller's: a problem answer over HTTP, or a failed job
    ├── Transient   may work later: the same request or message again
    └── Broken      ours: raised, alarmed, never shown in detail

An adapter translates its vendor's errors into these, so that none of botocore's, amqp's or Playwright's gets past it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Code:
    """What is known about an error before it happens.

    `status` is the HTTP status of the answer that carries it, `retryable` whether the same request may work later,
    `title` says what it is and `remedy` what the caller can do.
    """

    name: str
    status: int
    retryable: bool
    title: str
    remedy: str


_REQUEST = [
    Code("invalid_json", 400, False, "The body is not JSON", 'Send a JSON object such as {"url": "https://…"}.'),
    Code("invalid_request", 422, False, "The request has a wrong field", "Correct the field that `field` names."),
    Code("body_too_large", 413, False, "The body is too large", "Send at most 64 kB, or 1 MB in a batch."),
    Code("invalid_url", 422, False, "The URL cannot be understood", "Send an absolute URL with a host."),
    Code("url_too_long", 422, False, "The URL is too long", "Send a URL of at most 2,048 characters."),
    Code("unsupported_scheme", 422, False, "The URL is not http or https", "Send an http:// or https:// URL."),
    Code(
        "url_has_credentials",
        422,
        False,
        "The URL carries a user name or password",
        "Leave them out of the URL; pages behind basic auth need the basic auth option.",
    ),
    Code(
        "blocked_target",
        422,
        False,
        "The target is not on the public internet",
        "Only public addresses are fetched; send a URL that anyone may reach.",
    ),
    Code(
        "host_not_allowed",
        422,
        False,
        "This endpoint does not print pages of that host",
        "Ask for a page of a host that the endpoint's AllowHosts and DenyHosts let through.",
    ),
    Code(
        "callback_not_allowed",
        422,
        False,
        "This endpoint does not post to that callback_url",
        "Name an https:// address; without an API key, one of a host that the endpoint's CallbackHosts names.",
    ),
    Code(
        "notify_not_allowed",
        422,
        False,
        "This endpoint does not send mail to that address",
        "Name an address that the endpoint's NotifyAllow names, itself or by its @domain.",
    ),
    Code("not_found", 404, False, "There is nothing here", "Check the address; POST a URL to /pdf to make a PDF."),
    Code("method_not_allowed", 405, False, "This call does not exist", "Use a method that the header Allow names."),
    Code("pdf_not_found", 404, False, "No PDF is stored for this job", "Look at the job's state, or ask again."),
    Code(
        "report_not_found",
        404,
        False,
        "There is no report for this job",
        "Look at the job's state; a report is there when its PDF is.",
    ),
    Code(
        "api_key_required",
        403,
        False,
        "An API key is missing or not known",
        "Send your key in the header x-api-key; whoever runs the endpoint hands keys out.",
    ),
    Code(
        "forbidden",
        403,
        False,
        "This is not allowed here",
        "Follow a link that the endpoint gave you, with its token; deleting needs an endpoint with API keys.",
    ),
    Code("refused", 403, False, "API Gateway refused the request", "See `detail` for what it says."),
    Code("rate_limited", 429, True, "There are too many requests", "Ask again after a few seconds."),
    Code(
        "quota_exceeded",
        429,
        True,
        "The quota of this API key is used up",
        "Wait for the next day, week or month of its quota, or have whoever runs the endpoint raise it.",
    ),
]
_SERVICE = [
    Code("not_ready", 504, True, "The PDF is not ready yet", "Ask again, or follow the job at its own address."),
    Code("queue_unavailable", 503, True, "The queue cannot be reached", "Ask again after the seconds of Retry-After."),
    Code("storage_unavailable", 503, True, "The storage cannot be reached", "Ask again after a few seconds."),
    Code(
        "too_many_waiting",
        503,
        True,
        "Too many requests are waiting for their PDF",
        "POST the URL to /pdf, which does not wait, or ask again after the seconds of Retry-After.",
    ),
    Code("busy", 503, True, "Another request is at this very job", "Ask again after a few seconds."),
    Code(
        "message_expired",
        503,
        True,
        "The message expired before it could be handled",
        "Publish it again, with a longer expiration or none.",
    ),
    Code("overloaded", 503, True, "The job waited for too long", "Ask again later; see how many jobs are waiting."),
    Code("throttled", 503, True, "All renderers are busy", "Nothing; the job waits and is tried again."),
    Code("internal", 500, True, "Something broke on our side", "Ask again; if it stays, report the id of the request."),
]
_PAGE = [
    Code("name_not_found", 502, True, "The page's host name does not resolve", "Check the host name."),
    Code("connection_refused", 502, True, "The page's server refused the connection", "Check host and port."),
    Code("connection_failed", 502, True, "The connection to the page's server failed", "Try again later."),
    Code("tls_error", 502, False, "The page's TLS certificate or handshake is wrong", "Have its TLS put right."),
    Code("page_status", 502, False, "The page answered with an error status", "Check that the URL opens in a browser."),
    Code("page_unavailable", 502, True, "The page's server is overloaded or broken", "Try again later."),
    Code(
        "resources_failed", 502, True, "Parts of the page did not load", "Try later, or leave resources out of fail_on."
    ),
    Code(
        "resources_missing",
        502,
        False,
        "Parts of the page are not there",
        "Correct them, or leave resources out of fail_on.",
    ),
    Code("console_errors", 502, False, "The page's scripts reported errors", "Leave console out of fail_on."),
    Code("too_many_redirects", 502, False, "The page redirects in a circle", "Check the URL in a browser."),
    Code("unsupported_content", 415, False, "The URL is not a page", "Send the URL of a page that a browser shows."),
    Code("invalid_option", 422, False, "An option does not fit this page", "Correct the option that `detail` names."),
    Code("too_large", 413, False, "The page or its PDF is too large", "Print a part of it with page_ranges."),
    Code("too_many_pages", 413, False, "The PDF has too many pages", "Print a part of it with page_ranges."),
    Code("timeout", 504, True, "The page was not ready in time", "Try a milder wait_until, or again later."),
    Code("crash", 502, True, "The browser crashed on this page", "Try again; if it stays, the page is too heavy."),
]

CODES: dict[str, Code] = {code.name: code for code in (*_REQUEST, *_SERVICE, *_PAGE)}
PAGE_CODES = frozenset(code.name for code in _PAGE)
"""What a page can do to a job that was asked for without fault."""


class UrlshotError(Exception):
    """An error with a code of `CODES`.

    `detail` is for the caller, in one sentence about this occurrence. `internal` is for our logs only. `field` names
    the part of the request that is wrong, as a path such as `options.scale`.
    """

    def __init__(self, code: str, detail: str = "", *, internal: str = "", field: str | None = None) -> None:
        self.code = CODES[code]
        self.detail = detail or self.code.title
        self.internal = internal
        self.field = field
        super().__init__(f"{code}: {self.detail}" + (f" [{internal}]" if internal else ""))

    @property
    def retryable(self) -> bool:
        return self.code.retryable

    def public(self) -> dict[str, Any]:
        """What a caller may see: code, title, detail, remedy, retryable, and the field if one is at fault."""
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
    """The caller's fault, or the page's: the same request would fail again."""


class Transient(UrlshotError):
    """Passing trouble: the same request or message may work later."""


class Broken(UrlshotError):
    """Our fault: wrong settings or a state that must not be. Raised, so that it shows as an error of the function."""

    def __init__(self, internal: str) -> None:
        super().__init__("internal", internal=internal)


def failure(code: str, detail: str = "", *, internal: str = "") -> Rejected | Transient:
    """The error of a page, of the kind that its code says."""
    kind = Transient if CODES[code].retryable else Rejected
    return kind(code, detail, internal=internal)
