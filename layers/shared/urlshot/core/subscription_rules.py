"""Decides which addresses may subscribe: turns `callback_url` and `notify` into subscribers, or refuses them.

A caller who could name any address could make the operator's account call or mail strangers. So a caller without an API
key may name only callback hosts that the operator lists, and every caller only mail addresses that the operator lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import ada_url
from pydantic import BeforeValidator

from urlshot.core.egress import Egress, listed
from urlshot.core.errors import Rejected
from urlshot.core.identity import target
from urlshot.core.subscriptions import Subscriber

# RFC 5321, section 4.1.2, without quoted names and address literals; and without "%" and "!", which may ask a mail
# server to relay a mail to somebody else (RFC 1123, section 5.2.16).
_LOCAL = re.compile(r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_MAX_LOCAL, _MAX_ADDRESS = 64, 254  # RFC 5321, section 4.5.3.1


def callback_subscriber(url: str, egress: Egress, *, has_key: bool, hosts: frozenset[str]) -> Subscriber:
    """Returns the subscriber for a `callback_url`. The addresses of its host are checked when it is called.

    Args:
        url: The URL as given.
        egress: The egress rules.
        has_key: Whether the caller sent a valid API key.
        hosts: The hosts that callers without a key may name, from `parse_hosts`.

    Raises:
        Rejected: `callback_not_allowed`, or an error of `identity.target` (`invalid_url`, `blocked_target`, …).
    """
    # AllowHosts is about pages only. DenyHosts counts for callbacks too, but has an error code of its own here.
    where = target(url, replace(egress, allowed=frozenset(), denied=frozenset()), "callback_url")
    if listed(where.host, egress.denied):
        raise Rejected("callback_not_allowed", "The operator has blocked this host.", field="callback_url")
    if not where.url.startswith("https:"):
        raise Rejected("callback_not_allowed", "A callback_url must be an https:// URL.", field="callback_url")
    if not callback_allowed(where.url, has_key=has_key, hosts=hosts):
        raise Rejected("callback_not_allowed", "The operator has not listed this host.", field="callback_url")
    return Subscriber(kind="callback", address=where.url.partition("#")[0])


def mail_subscriber(address: str, allow: frozenset[str]) -> Subscriber:
    """Returns the subscriber for a mail address in `notify`.

    Raises:
        Rejected: `invalid_request` if it is not one plain address, or `notify_not_allowed`.
    """
    canonical = canonical_address(address)
    if canonical is None:
        raise Rejected("invalid_request", "notify: must be one address such as name@example.com.", field="notify")
    if not notify_allowed(canonical, allow):
        raise Rejected("notify_not_allowed", field="notify")
    return Subscriber(kind="mail", address=canonical)


def callback_allowed(url: str, *, has_key: bool, hosts: frozenset[str]) -> bool:
    """Returns whether a caller may name this canonical URL: any with a key, otherwise only those of `hosts`."""
    parsed = ada_url.URL(url)
    return parsed.protocol == "https:" and (has_key or _host(parsed) in hosts)


def notify_allowed(address: str, allow: frozenset[str]) -> bool:
    """Returns whether an address may get mail: the address or its domain is in `allow`.

    The part before the @ is case-sensitive and the domain is not (RFC 5321, section 2.4). A domain does not include its
    subdomains.
    """
    canonical = canonical_address(address)
    return canonical is not None and (canonical in allow or f"@{canonical.partition('@')[2]}" in allow)


def canonical_address(address: str) -> str | None:
    """Returns a mail address with its domain in lower case; None if it is not one plain ASCII address."""
    local, at, domain = address.partition("@")
    if not at or len(local) > _MAX_LOCAL or len(address) > _MAX_ADDRESS:
        return None
    return f"{local}@{domain.lower()}" if _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain) else None


def parse_hosts(text: str) -> frozenset[str]:
    """Parses the parameter CallbackHosts: `host` or `host:port`, separated by commas.

    Raises:
        ValueError: An entry is not a host.
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
    """Parses the parameter NotifyAllow: addresses and @domains, separated by commas.

    Raises:
        ValueError: An entry is neither an address nor an @domain.
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
"""Type of a field of a function's settings."""
NotifyAllow = Annotated[
    frozenset[str], BeforeValidator(lambda value: parse_allow(value) if isinstance(value, str) else value)
]
"""Type of a field of a function's settings."""


def _entries(text: str) -> Iterable[str]:
    return filter(None, (part.strip() for part in text.split(",")))


def _host(parsed: ada_url.URL) -> str:
    """Returns host and port; the port is always present."""
    return f"{parsed.hostname}:{parsed.port or 443}"
