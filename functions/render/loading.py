"""Whether the page's document is still being loaded, as the browser itself says (DevTools' Page domain).

The load event is not enough: a script that sends the page to an unknown scheme or to a download, or calls `stop()`,
and a response that breaks off end the loading without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from playwright.async_api import CDPSession


class Loading:
    """Follows the main frame of one page."""

    def __init__(self, session: CDPSession, frame: str, at_end: Callable[[], None]) -> None:
        """`at_end` is called when nothing is being loaded into the frame any more."""
        self._session = session
        self._at_end = at_end
        self._frame = frame
        self._parsed = False
        self.ended = asyncio.Event()
        """Set while nothing is being loaded into the frame, whether it was loaded to its end or not."""

    async def start(self) -> None:
        """Begins; call before the page is opened."""
        self._session.on("Page.frameStartedLoading", self._began)
        self._session.on("Page.frameNavigated", self._committed)
        self._session.on("Page.domContentEventFired", self._was_parsed)
        self._session.on("Page.frameStoppedLoading", self._stopped)
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

    def _was_parsed(self, _: dict[str, Any]) -> None:
        self._parsed = True

    def _stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self.ended.set()
            self._at_end()
