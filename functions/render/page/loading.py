"""Follows the loading of the page's document by the browser's own events (DevTools' Page domain).

The load event is not enough. Loading ends without it if a script navigates to an unknown scheme or a download, if a
script calls `stop()`, and if the response breaks off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from playwright_aws_lambda import Session

REFRESH_SECONDS = 2.0
"""Longest delay of a refresh that is followed; a document with a later refresh is printed itself."""
LEAVING_SECONDS = 4.0
"""Longest time for which a navigation under way keeps the document from being at rest."""
ASKED_SECONDS = 1.0
"""Longest time for which it is kept from that by a navigation that it has asked for and that has not begun."""
_REFRESHES = {"metaTagRefresh", "httpHeaderRefresh"}
_STAYS = {"sameDocument", "historySameDocument"}
"""Types of navigations that keep the document."""


class Loading:
    """Follows the main frame of one page."""

    def __init__(self, session: Session, frame: str, at_end: Callable[[], None]) -> None:
        """Begins to follow the page; call it before the page is opened.

        Args:
            session: A DevTools session of the page, which sends the events of the domain Page.
            frame: Id of the main frame.
            at_end: Called when the frame has stopped loading.
        """
        self._at_end = at_end
        self._frame = frame
        self.parsed = asyncio.Event()
        """Set when the document has been read to its end."""
        self.loaded = asyncio.Event()
        """Set when the load event has come."""
        self.documents = 0
        """Number of documents so far."""
        self._url = ""
        self.refresh: float | None = None
        """Seconds from the load event to a refresh that leads elsewhere within REFRESH_SECONDS; None without one."""
        self.refreshed = asyncio.Event()
        """Set when the refresh has happened or was cancelled."""
        self._leaves_until = float("-inf")
        """End of the wait for the navigation under way, on the monotonic clock; minus infinity without one."""
        self._asked_until = float("-inf")
        """The same for a navigation that has not begun."""
        self.ended = asyncio.Event()
        """Set while the frame loads nothing, whether or not the document was read to its end."""
        session.on("Page.frameRequestedNavigation", self._ask)
        session.on("Page.frameStartedNavigating", self._leave)
        session.on("Page.frameStartedLoading", self._began)
        session.on("Page.frameNavigated", self._committed)
        session.on("Page.domContentEventFired", lambda _: self.parsed.set())
        session.on("Page.loadEventFired", lambda _: self.loaded.set())
        session.on("Page.frameStoppedLoading", self._stopped)
        session.on("Page.frameScheduledNavigation", self._scheduled)
        session.on("Page.frameClearedScheduledNavigation", self._cleared)

    @property
    def cut(self) -> bool:
        """Whether loading has ended before the document was read to its end."""
        return self.ended.is_set() and not self.parsed.is_set()

    @property
    def leaves(self) -> bool:
        """Whether the document is about to be replaced.

        The requests alone do not tell: a form is sent a few milliseconds after the script that submits it, and if a
        navigation fails, the browser's error page comes some 30 ms after the end of the request.
        """
        return time.monotonic() < max(self._asked_until, self._leaves_until)

    def _ask(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame and event["disposition"] == "currentTab":
            self._asked_until = time.monotonic() + ASKED_SECONDS

    def _leave(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame and event["navigationType"] not in _STAYS:
            self._asked_until, self._leaves_until = float("-inf"), time.monotonic() + LEAVING_SECONDS

    def _began(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self.ended.clear()

    def _committed(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._frame:
            self.documents += 1
            self.parsed.clear()
            self.loaded.clear()
            self._url = event["frame"]["url"]
            self._asked_until = self._leaves_until = float("-inf")
            self._no_refresh()

    def _scheduled(self, event: dict[str, Any]) -> None:
        """Notes a refresh by element or header, unless it leads to the same document, which would not change."""
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

    def _stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self.ended.set()
            self._leaves_until = float("-inf")
            self._at_end()
