"""Which job is which: the URL as a browser reads it, and the id that follows from it.

A difference between our reading of a URL and Chromium's would be a hole in the egress rules, so the URL is parsed and
serialised by the WHATWG URL Standard (ada, the parser of Node.js).
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

import ada_url

from urlshot.egress import Egress
from urlshot.errors import Rejected

MAX_URL = 2048
"""Characters that a URL may have, before and after it is made canonical."""

_DEFAULT_PORTS = {"http:": 80, "https:": 443}
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}")


@dataclass(frozen=True)
class Target:
    """A URL that may be asked for: `url` is canonical, `host` without brackets, `port` explicit."""

    url: str
    host: str
    port: int


def target(url: str, egress: Egress, field: str = "url") -> Target:
    """Reads a URL and applies what can be decided without the network; `field` is where in the request it stands.

    Raises:
        Rejected: `invalid_url`, `url_too_long`, `unsupported_scheme`, `url_has_credentials`, `host_not_allowed` for a
            host that the operator's lists keep out, or `blocked_target` for a literal address that is not public. Names
            are resolved, and their addresses checked, where the page is fetched.
    """
    if len(url) > MAX_URL:
        raise Rejected("url_too_long", f"The URL has {len(url)} characters; {MAX_URL} are allowed.", field=field)
    try:
        parsed = ada_url.URL(url)
    except (ValueError, UnicodeError) as error:
        raise Rejected("invalid_url", "The URL is not an absolute URL with a host.", field=field) from error
    if parsed.protocol not in _DEFAULT_PORTS:
        scheme = parsed.protocol.removesuffix(":")
        raise Rejected("unsupported_scheme", f"The scheme {scheme[:20]!r} is not offered.", field=field)
    if parsed.username or parsed.password:
        raise Rejected("url_has_credentials", field=field)
    if not parsed.hostname:
        raise Rejected("invalid_url", "The URL has no host.", field=field)
    canonical = parsed.href
    if len(canonical) > MAX_URL:
        raise Rejected("url_too_long", f"The URL has {len(canonical)} characters when it is encoded.", field=field)
    host = parsed.hostname.removeprefix("[").removesuffix("]")
    port = int(parsed.port) if parsed.port else _DEFAULT_PORTS[parsed.protocol]
    listed = egress.for_target(host)
    if not listed.allowed:
        raise Rejected("host_not_allowed", f"{listed.reason}.", field=field)
    decision = egress.for_host(host, port)
    if decision is not None and not decision.allowed:
        raise Rejected("blocked_target", f"{decision.reason}.", field=field)
    return Target(canonical, host, port)


def job_id(canonical_url: str, options: dict[str, Any]) -> str:
    """The id of a job: SHA-1 in hex of the canonical URL, and of `options` where they differ from the defaults.

    With every option at its default it is the plain `sha1(url)`, which any client can compute. `options` holds only
    what differs, with JSON values.
    """
    text = canonical_url
    if options:
        text += "\n" + json.dumps(options, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # surrogatepass cannot be needed: ada serialises to ASCII, and JSON strings come from valid UTF-8.
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def private_id() -> str:
    """The id of a private job: 128 random bits in hex. Who knows it is who was told it."""
    return secrets.token_hex(16)


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of an id: 40 hex digits, or the 32 of a private job."""
    return _ID.fullmatch(text) is not None


def file_name(canonical_url: str) -> str:
    """A name for the download, from host and path; never from the query, which may hold secrets."""
    parsed = ada_url.URL(canonical_url)
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{parsed.hostname}{parsed.pathname}").strip("-.")
    return f"{words[:100].rstrip('-.') or 'page'}.pdf"
