"""Whether the page's document is still being loaded, as the browser itself says (DevTools' Page domain).

The load event is not enough: a script that sends the page to an unknown scheme or to a download, or calls `stop()`,
and a response that breaks off end the loading without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from playwright.async_api import CDPSession

REFRESH_SECONDS = 2.0
"""Longest that a document may take to send the page elsewhere, and is taken for a mere signpost."""
_REFRESHES = {"metaTagRefresh", "httpHeaderRefresh"}


class Loading:
    """Follows the main frame of one page."""

    def __init__(self, session: CDPSession, frame: str, at_end: Callable[[], None]) -> None:
        """`at_end` is called when nothing is being loaded into the frame any more."""
        self._session = session
        self._at_end = at_end
        self._frame = frame
        self._parsed = False
        self._url = ""
        self.refresh: float | None = None
        """Seconds after the load event at which the document sends the page elsewhere, where that is soon."""
        self.refreshed = asyncio.Event()
        """Set when it has done so, or will not do it."""
        self.ended = asyncio.Event()
        """Set while nothing is being loaded into the frame, whether it was loaded to its end or not."""

    async def start(self) -> None:
        """Begins; call before the page is opened."""
        self._session.on("Page.frameStartedLoading", self._began)
        self._session.on("Page.frameNavigated", self._committed)
        self._session.on("Page.domContentEventFired", self._was_parsed)
        self._session.on("Page.frameStoppedLoading", self._stopped)
        self._session.on("Page.frameScheduledNavigation", self._scheduled)
        self._session.on("Page.frameClearedScheduledNavigation", self._cleared)
        await self._session.send("Page.enable")

    @property
    def cut(self) -> bool:
        """Whether the loading has ended before the document was read to its end."""
        return self.ended.is_set() and not self._parsed

    def _began(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self.ended.clear()

    def _committed(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._frame:
            self._parsed = False
            self._url = event["frame"]["url"]
            self._no_refresh()

    def _scheduled(self, event: dict[str, Any]) -> None:
        """A `refresh`, as an element or a header: one that leads to the same document changes nothing on the paper."""
        elsewhere = event["url"].partition("#")[0] != self._url.partition("#")[0]
        soon = event["reason"] in _REFRESHES and event["delay"] <= REFRESH_SECONDS
        if event["frameId"] == self._frame and elsewhere and soon:
            self.refresh = event["delay"]
            self.refreshed.clear()

    def _cleared(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self._no_refresh()

    def _no_refresh(self) -> None:
        self.refresh = None
        self.refreshed.set()

    def _was_parsed(self, _: dict[str, Any]) -> None:
        self._parsed = True

    def _stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self.ended.set()
            self._at_end()
