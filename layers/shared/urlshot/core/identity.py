"""Makes URLs canonical, and derives the ids of jobs from them.

URLs are parsed by the WHATWG URL Standard, as in Chromium (here by ada, the parser of Node.js). If the two read a URL
differently, a page could bypass the egress rules.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

import ada_url

from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected

MAX_URL = 2048
"""Most characters of a URL, both as given and in canonical form."""

_DEFAULT_PORTS = {"http:": 80, "https:": 443}
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}")
_PRIVATE_DIGITS = 32


@dataclass(frozen=True)
class Target:
    """A URL that may be fetched: `url` is canonical, `host` has no brackets, `port` is always set."""

    url: str
    host: str
    port: int


def target(url: str, egress: Egress, field: str = "url") -> Target:
    """Parses a URL, and applies the rules that need no network.

    Names are resolved, and their addresses checked, only when the page is fetched.

    Args:
        url: The URL as given.
        egress: The egress rules.
        field: The field of the request that contains the URL, for errors.

    Raises:
        Rejected: `invalid_url`, `url_too_long`, `unsupported_scheme`, `url_has_credentials`, `host_not_allowed` if the
            operator's lists exclude the host, or `blocked_target` if the host is an address that is not public, a
            name of this service or `localhost`.
    """
    if len(url) > MAX_URL:
        raise Rejected(
            "url_too_long", f"The URL has {len(url)} characters; at most {MAX_URL} are allowed.", field=field
        )
    try:
        parsed = ada_url.URL(url)
    except (ValueError, UnicodeError) as error:
        raise Rejected("invalid_url", "The URL is not an absolute URL with a host.", field=field) from error
    if parsed.protocol not in _DEFAULT_PORTS:
        scheme = parsed.protocol.removesuffix(":")
        raise Rejected("unsupported_scheme", f"The scheme {scheme[:20]!r} is not supported.", field=field)
    if parsed.username or parsed.password:
        raise Rejected("url_has_credentials", field=field)
    if not parsed.hostname:
        raise Rejected("invalid_url", "The URL has no host.", field=field)
    canonical = parsed.href
    if len(canonical) > MAX_URL:
        raise Rejected(
            "url_too_long",
            f"The URL has {len(canonical)} characters when encoded; at most {MAX_URL} are allowed.",
            field=field,
        )
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
    """Returns the id of a job: the SHA-1, in hex, of its canonical URL and its options other than the defaults.

    If all options have their defaults, the id is the plain `sha1(url)`, which any client can compute.

    Args:
        canonical_url: The URL in canonical form.
        options: The options that differ from the defaults, as JSON values (`Options.changed()`).
    """
    text = canonical_url
    if options:
        text += "\n" + json.dumps(options, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Encoding cannot fail: ada serializes to ASCII, and options refuse lone surrogates.
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def private_id() -> str:
    """Returns the id of a private job: 128 random bits in hex, which nobody can guess."""
    return secrets.token_hex(_PRIVATE_DIGITS // 2)


def is_private_id(job: str) -> bool:
    """Returns whether an id is that of a private job."""
    return len(job) == _PRIVATE_DIGITS


def is_job_id(text: str) -> bool:
    """Returns whether `text` has the form of an id: 40 hex digits, or 32 for a private job."""
    return _ID.fullmatch(text) is not None


def file_name(canonical_url: str) -> str:
    """Returns a file name for the download, made of host and path. The query is left out: it may contain secrets."""
    parsed = ada_url.URL(canonical_url)
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{parsed.hostname}{parsed.pathname}").strip("-.")
    return f"{words[:100].rstrip('-.') or 'page'}.pdf"
