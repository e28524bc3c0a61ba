"""What a page may not load, because the caller does not want it in the print.

This is tidiness, not security: `page.route()` misses the targets of redirects and WebSockets. What must not be reached
is the proxy's affair.
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
"""Requests that are remembered one by one; the rest is only counted."""

_TYPES = {"image": "images", "imageset": "images", "font": "fonts", "media": "media", "texttrack": "media"}
"""Playwright's resource types, and the option's name for them."""
_THIRD_PARTIES: Final = ("ads", "trackers")


class HostList:
    """Domains, of which `*.` marks those that stand for all below them as well."""

    def __init__(self, domains: Iterable[str]) -> None:
        self._domains = frozenset(domains)

    def match(self, host: str) -> str | None:
        """The domain of the list that covers this host, the longest first."""
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
    """A request that was not made: its URL as the page wrote it, and the name of the option's value that forbade it."""

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
        """The first KEPT of them."""

    async def start(self) -> None:
        """Begins; call before the page is opened."""
        await self._page.route("**/*", self._decide)

    def urls(self) -> list[str]:
        """URLs of all that is remembered."""
        return [blocked.url for blocked in self.blocked]

    def gaps(self) -> list[str]:
        """URLs of ads and trackers, whose frames and images are to leave no holes."""
        return [blocked.url for blocked in self.blocked if blocked.reason in _THIRD_PARTIES]

    async def _decide(self, route: Route, request: Request) -> None:
        reason = self._reason(request)
        with contextlib.suppress(Error):  # the page is gone meanwhile
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
            # The page of an advertiser is not made of ads.
            if found is not None and hosts.match(_host(self._page.url)) != found:
                return name
        return None

    @staticmethod
    def _is_page(request: Request) -> bool:
        """Whether the request is for the document that is to be printed."""
        if not request.is_navigation_request():
            return False
        try:
            return request.frame.parent_frame is None
        except Error:  # a frame that is not there yet is the page's own
            return True


def _host(url: str) -> str:
    try:
        return str(ada_url.URL(url).hostname)
    except ValueError:
        return ""
