"""Translates errors of Chromium into errors of urlshot."""

from __future__ import annotations

import re

from functions.render.network.ledger import Ledger
from functions.render.page.witness import Witness, endpoint
from playwright_aws_lambda import DevToolsError
from urlshot.core.errors import Transient, UrlshotError, failure

_NET_ERROR = re.compile(r"net::(ERR_[A-Z0-9_]+)")
_NET_CODES = {
    "ERR_NAME_NOT_RESOLVED": "name_not_found",
    "ERR_CONNECTION_REFUSED": "connection_refused",
    "ERR_TOO_MANY_REDIRECTS": "too_many_redirects",
    "ERR_UNSAFE_REDIRECT": "unsupported_scheme",
    "ERR_UNKNOWN_URL_SCHEME": "unsupported_scheme",
    "ERR_DISALLOWED_URL_SCHEME": "unsupported_scheme",
    "ERR_UNSAFE_PORT": "blocked_target",
    "ERR_ABORTED": "unsupported_content",
    "ERR_INVALID_AUTH_CREDENTIALS": "page_status",
    "ERR_TIMED_OUT": "timeout",
    "ERR_INVALID_HTTP_RESPONSE": "unsupported_content",
    "ERR_INVALID_REDIRECT": "unsupported_content",
    "ERR_RESPONSE_HEADERS_TOO_BIG": "unsupported_content",
    "ERR_CONTENT_DECODING_FAILED": "unsupported_content",
    "ERR_BLOCKED_BY_RESPONSE": "unsupported_content",
}


def meaning(error: DevToolsError, witness: Witness, ledger: Ledger) -> UrlshotError:
    """Returns urlshot's error for an error of the browser about the document that was requested last."""
    if _NET_ERROR.search(error.message):
        return network_error(error.message, witness, ledger)
    return Transient("crash", internal=first_line(error.message))


def network_error(message: str, witness: Witness, ledger: Ledger) -> UrlshotError:
    """Returns urlshot's error for a net:: error of Chromium about the document that was requested last."""
    found = proxy_failure(witness.asked, ledger)
    if found is not None:
        return found
    match = _NET_ERROR.search(message)
    name = match[1] if match else "ERR_FAILED"
    internal = first_line(message)
    if name.startswith(("ERR_CERT_", "ERR_SSL_", "ERR_BAD_SSL")):
        return failure("tls_error", f"The browser reports {name}.", internal=internal)
    code = _NET_CODES.get(name, "connection_failed")
    detail = "The URL leads to a download or to no content."
    if name != "ERR_ABORTED":
        detail = f"The browser reports {name}."
    return failure(code, detail, internal=internal)


def proxy_failure(url: str, ledger: Ledger) -> UrlshotError | None:
    """Returns why the proxy did not connect to a URL's endpoint, which Chromium does not know; None if it did."""
    found = ledger.failures.get(endpoint(url))
    return failure(found.code, found.reason) if found is not None else None


def first_line(message: str) -> str:
    """Returns an error's first line for the log, without the queries of URLs, and of at most 300 characters."""
    return re.sub(r"\?\S*", "", message.partition("\n")[0])[:300]
