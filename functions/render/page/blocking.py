"""Blocks the requests of a page that the caller does not want in the print.

This is not a security boundary: WebSockets are not asked about. The proxy enforces which addresses may be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import ada_url

from functions.render.devtools.page import Page

KEPT = 1000
"""Most blocked requests that are kept; further ones are only counted."""

_TYPES = {"image": "images", "font": "fonts", "media": "media", "texttrack": "media"}
"""Types of resources in DevTools, in lower case, and the values of the option `block` for them."""
_THIRD_PARTIES: Final = ("ads", "trackers")


class HostList:
    """A list of domains; an entry that begins with `*.` covers the domain and all its subdomains."""

    def __init__(self, domains: Iterable[str]) -> None:
        self._domains = frozenset(domains)

    def match(self, host: str) -> str | None:
        """Returns the longest entry that covers this host; None if there is none."""
        if host in self._domains:
            return host
        rest = host
        while rest:
            if f"*.{rest}" in self._domains:
                return f"*.{rest}"
            rest = rest.partition(".")[2]
        return None


@dataclass(frozen=True)
class Blocked:
    """A blocked request: its URL, cut at 2,048 characters, and the value of the option `block` that blocked it."""

    url: str
    reason: str


class Blocker:
    """Decides about each request of one page, except those for the document that is to be printed."""

    def __init__(self, page: Page, block: Iterable[str], lists: dict[str, HostList]) -> None:
        self._page = page
        self._kinds = frozenset(block)
        self._lists = {name: lists[name] for name in _THIRD_PARTIES if name in self._kinds}
        self.counts: Counter[str] = Counter()
        self.blocked: list[Blocked] = []
        """The first KEPT blocked requests."""

    def urls(self) -> list[str]:
        """Returns the URLs of the kept requests."""
        return [blocked.url for blocked in self.blocked]

    def gaps(self) -> list[str]:
        """Returns the URLs of blocked ads and trackers, whose frames and images must leave no gaps."""
        return [blocked.url for blocked in self.blocked if blocked.reason in _THIRD_PARTIES]

    def blocks(self, url: str, kind: str) -> bool:
        """Returns whether to block a request, and counts it if so.

        Args:
            url: The request's URL.
            kind: The type of the resource, in lower case.
        """
        reason = self._reason(url, kind)
        if reason is None:
            return False
        self.counts[reason] += 1
        if len(self.blocked) < KEPT:
            self.blocked.append(Blocked(url[:2048], reason))
        return True

    def _reason(self, url: str, type_: str) -> str | None:
        kind = _TYPES.get(type_)
        if kind in self._kinds:
            return kind
        host = _host(url)
        for name, hosts in self._lists.items():
            found = hosts.match(host)
            # Resources of an advertiser's own site are not ads on that site.
            if found is not None and hosts.match(_host(self._page.url)) != found:
                return name
        return None


def _host(url: str) -> str:
    try:
        return str(ada_url.URL(url).hostname)
    except ValueError:
        return ""
