"""Blocks the requests of a page that the caller does not want in the print.

This is not a security boundary: `page.route()` misses the targets of redirects and WebSockets. The proxy enforces which
addresses may be reached.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import ada_url
from playwright.async_api import Error, Page, Request, Route

KEPT = 1000
"""Most blocked requests that are kept; further ones are only counted."""

_TYPES = {"image": "images", "imageset": "images", "font": "fonts", "media": "media", "texttrack": "media"}
"""Playwright's resource types, and the values of the option `block` for them."""
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
    """Decides about each request of one page."""

    def __init__(self, page: Page, block: Iterable[str], lists: dict[str, HostList]) -> None:
        self._page = page
        self._kinds = frozenset(block)
        self._lists = {name: lists[name] for name in _THIRD_PARTIES if name in self._kinds}
        self.counts: Counter[str] = Counter()
        self.blocked: list[Blocked] = []
        """The first KEPT blocked requests."""

    async def start(self) -> None:
        """Starts to block; call it before the page is opened."""
        await self._page.route("**/*", self._decide)

    def urls(self) -> list[str]:
        """Returns the URLs of the kept requests."""
        return [blocked.url for blocked in self.blocked]

    def gaps(self) -> list[str]:
        """Returns the URLs of blocked ads and trackers, whose frames and images must leave no gaps."""
        return [blocked.url for blocked in self.blocked if blocked.reason in _THIRD_PARTIES]

    async def _decide(self, route: Route, request: Request) -> None:
        reason = self._reason(request)
        with contextlib.suppress(Error):  # the page may have gone
            if reason is None:
                await route.fallback()  # to other handlers, or to the network
                return
            self.counts[reason] += 1
            if len(self.blocked) < KEPT:
                self.blocked.append(Blocked(request.url[:2048], reason))
            await route.abort("blockedbyclient")

    def _reason(self, request: Request) -> str | None:
        if self._is_page(request):
            return None
        kind = _TYPES.get(request.resource_type)
        if kind in self._kinds:
            return kind
        host = _host(request.url)
        for name, hosts in self._lists.items():
            found = hosts.match(host)
            # Resources of an advertiser's own site are not ads on that site.
            if found is not None and hosts.match(_host(self._page.url)) != found:
                return name
        return None

    @staticmethod
    def _is_page(request: Request) -> bool:
        """Returns whether the request is for the document that is to be printed."""
        if not request.is_navigation_request():
            return False
        try:
            return request.frame.parent_frame is None
        except Error:  # the frame of a page's first request does not exist yet
            return True


def _host(url: str) -> str:
    try:
        return str(ada_url.URL(url).hostname)
    except ValueError:
        return ""
