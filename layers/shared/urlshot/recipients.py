"""Which addresses a request may have told: `callback_url` and `notify` become subscribers here, or are refused.

Whoever could name any address could have our account call or mail strangers. So a caller without a key may name only
the callback hosts that the operator lists, and nobody a mail address that the operator does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import ada_url
from pydantic import BeforeValidator

from urlshot.egress import Egress, listed
from urlshot.errors import Rejected
from urlshot.identity import target
from urlshot.subscriptions import Subscriber

# RFC 5321, section 4.1.2, without quoted names and address literals; and without "%" and "!", by which a mail server
# may be asked to pass a mail on to somebody else (RFC 1123, section 5.2.16).
_LOCAL = re.compile(r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_MAX_LOCAL, _MAX_ADDRESS = 64, 254  # RFC 5321, section 4.5.3.1


def callback_subscriber(url: str, egress: Egress, *, has_key: bool, hosts: frozenset[str]) -> Subscriber:
    """The subscriber that a `callback_url` names. Where its host resolves to is checked when it is called.

    Raises:
        Rejected: `callback_not_allowed`, or what is wrong with it as a URL (`invalid_url`, `blocked_target`, …).
    """
    # The operator's lists are about pages, but what nothing is fetched from, nothing is posted to either.
    where = target(url, replace(egress, allowed=frozenset(), denied=frozenset()), "callback_url")
    if listed(where.host, egress.denied):
        raise Rejected("callback_not_allowed", "The operator has closed this host.", field="callback_url")
    if not where.url.startswith("https:"):
        raise Rejected("callback_not_allowed", "A callback goes to an https:// address only.", field="callback_url")
    if not callback_allowed(where.url, has_key=has_key, hosts=hosts):
        raise Rejected("callback_not_allowed", "The operator does not list this host.", field="callback_url")
    return Subscriber(kind="callback", address=where.url.partition("#")[0])


def mail_subscriber(address: str, allow: frozenset[str]) -> Subscriber:
    """The subscriber that a `notify` names.

    Raises:
        Rejected: `invalid_request` if it is not one plain address, `notify_not_allowed`.
    """
    canonical = canonical_address(address)
    if canonical is None:
        raise Rejected("invalid_request", "notify: must be one address such as name@example.com.", field="notify")
    if not notify_allowed(canonical, allow):
        raise Rejected("notify_not_allowed", field="notify")
    return Subscriber(kind="mail", address=canonical)


def callback_allowed(url: str, *, has_key: bool, hosts: frozenset[str]) -> bool:
    """Whether a caller may have this canonical URL called: with a key any, without one those of `hosts`."""
    parsed = ada_url.URL(url)
    return parsed.protocol == "https:" and (has_key or _host(parsed) in hosts)


def notify_allowed(address: str, allow: frozenset[str]) -> bool:
    """Whether an address may be mailed: it, or its domain, is in `allow`.

    The name before the @ is compared as it is and the domain in any case, as RFC 5321 (section 2.4) has it; a domain
    does not stand for those below it.
    """
    canonical = canonical_address(address)
    return canonical is not None and (canonical in allow or f"@{canonical.partition('@')[2]}" in allow)


def canonical_address(address: str) -> str | None:
    """A mail address with its domain in lower case; None if it is anything but one plain ASCII address."""
    local, at, domain = address.partition("@")
    if not at or len(local) > _MAX_LOCAL or len(address) > _MAX_ADDRESS:
        return None
    return f"{local}@{domain.lower()}" if _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain) else None


def parse_hosts(text: str) -> frozenset[str]:
    """CallbackHosts, `host` or `host:port` with commas between them, for `callback_allowed`.

    Raises:
        ValueError: an entry is no host.
    """
    found = set()
    for entry in _entries(text):
        try:
            parsed = ada_url.URL(f"https://{entry}")
        except ValueError:
            parsed = None
        if parsed is None or re.search(r"[/\\?#@*\s]", entry):
            raise ValueError(f"{entry!r} is not host or host:port")
        found.add(_host(parsed))
    return frozenset(found)


def parse_allow(text: str) -> frozenset[str]:
    """NotifyAllow, addresses and @domains with commas between them, for `notify_allowed`.

    Raises:
        ValueError: an entry is neither.
    """
    found = set()
    for entry in _entries(text):
        if entry.startswith("@") and _DOMAIN.fullmatch(entry[1:]):
            found.add(entry.lower())
        elif (canonical := canonical_address(entry)) is not None:
            found.add(canonical)
        else:
            raise ValueError(f"{entry!r} is neither an address nor @domain")
    return frozenset(found)


CallbackHosts = Annotated[
    frozenset[str], BeforeValidator(lambda value: parse_hosts(value) if isinstance(value, str) else value)
]
"""For a function's settings."""
NotifyAllow = Annotated[
    frozenset[str], BeforeValidator(lambda value: parse_allow(value) if isinstance(value, str) else value)
]
"""For a function's settings."""


def _entries(text: str) -> Iterable[str]:
    return filter(None, (part.strip() for part in text.split(",")))


def _host(parsed: ada_url.URL) -> str:
    """Host and port, the latter always."""
    return f"{parsed.hostname}:{parsed.port or 443}"
