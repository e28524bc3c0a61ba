"""What Playwright's and Chromium's errors mean to the caller."""

from __future__ import annotations

import re

from playwright.async_api import Error

from functions.render.network.ledger import Ledger
from functions.render.page.witness import Witness, endpoint
from urlshot.core.errors import Rejected, Transient, UrlshotError, failure

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


def meaning(error: Error, witness: Witness, ledger: Ledger) -> UrlshotError:
    """What an error of Playwright's means, for the document that was asked for last."""
    if _NET_ERROR.search(error.message):
        return network_error(error.message, witness, ledger)
    if "Download is starting" in error.message:
        return Rejected("unsupported_content", "The URL leads to a download.", internal=first_line(error.message))
    return Transient("crash", internal=first_line(error.message))


def network_error(message: str, witness: Witness, ledger: Ledger) -> UrlshotError:
    """What one of Chromium's net:: errors means, for the document that was asked for last."""
    found = proxy_failure(witness.asked, ledger)
    if found is not None:
        return found
    match = _NET_ERROR.search(message)
    name = match[1] if match else "ERR_FAILED"
    internal = first_line(message)
    if name.startswith(("ERR_CERT_", "ERR_SSL_", "ERR_BAD_SSL")):
        return failure("tls_error", f"The browser says {name}.", internal=internal)
    code = _NET_CODES.get(name, "connection_failed")
    detail = "The URL leads to a download, or to nothing." if name == "ERR_ABORTED" else f"The browser says {name}."
    return failure(code, detail, internal=internal)


def proxy_failure(url: str, ledger: Ledger) -> UrlshotError | None:
    """Why our proxy could not reach a URL's endpoint; Chromium sees only that it said no."""
    found = ledger.failures.get(endpoint(url))
    return failure(found.code, found.reason) if found is not None else None


def first_line(message: str) -> str:
    """An error's first line without the query of a URL in it, for our log."""
    return re.sub(r"\?\S*", "", message.partition("\n")[0])[:300]
