"""Scrolls through a page whose scripts look for what is in sight, so that what they bring then is there."""

from __future__ import annotations

import asyncio
import time

from playwright.async_api import CDPSession, Error, Page

from .rest import POLL_SECONDS, Rest
from .scripts import gone, script

SCROLL_SECONDS = 6.0
SCROLL_PIXELS = 30_000
"""Height up to which lazy content is scrolled into being: some 30 pages of A4."""
BOXES = 12
"""Boxes within the page that are scrolled through as well."""
_STEP = 0.8
"""Part of a screen by which it is scrolled on (scroll.js)."""
_EVENTS = {"scroll", "scrollend", "wheel"}


class Scroll:
    """One way through a page and its boxes."""

    seconds = SCROLL_SECONDS

    def __init__(self, page: Page, session: CDPSession, rest: Rest) -> None:
        self._page = page
        self._session = session
        self._rest = rest
        self._listens = False
        self._y = 0.0
        self._height = 0
        self._until = 0.0
        self._is_late = False
        """Whether the time ran out in the window, so that what its last screens have asked for may still come."""

    async def is_lazy(self) -> bool:
        """Whether there is anything to scroll, and scripts look for what is in sight or listen to scrolling."""
        state = await self._rest.ask()
        self._height = state.height
        boxes = await self._boxes()
        if state.height <= state.window * 1.1 and not boxes:
            return False
        self._listens = await self._hears(["window", "document", *(f"{_BOXES}[{at}]" for at in range(len(boxes)))])
        return state.observers > 0 or self._listens

    async def through(self, left: float) -> None:
        """Scrolls the window, then the boxes; ends after `left` seconds or SCROLL_SECONDS."""
        self._until = time.monotonic() + min(left, SCROLL_SECONDS)
        state = await self._rest.ask()
        self._y = min(state.window * _STEP, state.height)
        self._height = state.height
        while self._y < min(self._height, SCROLL_PIXELS) and time.monotonic() < self._until:
            self._y = await self._pass(None, self._y)
            await self._network()
            self._height = (await self._rest.ask()).height
        self._is_late = time.monotonic() >= self._until
        for box, height in enumerate(await self._boxes()):
            if time.monotonic() >= self._until:
                break
            y = 0.0
            while y < min(height, SCROLL_PIXELS) and time.monotonic() < self._until:
                y = await self._pass(box, y)
                await self._network()
                heights = await self._heights()
                height = heights[box] if box < len(heights) else 0
            if y < height:
                self._y, self._height = y, max(self._height, height)

    async def limit(self) -> int:
        """Pixels that were scrolled through, where the page goes on below them; 0 where its end was seen.

        Call when what the way through has brought is there: it may have made the page longer after the time ran out.
        """
        if self._is_late:
            self._height = max(self._height, (await self._rest.ask()).height)
        return int(max(1, min(self._y, SCROLL_PIXELS))) if self._y < self._height else 0

    async def back(self) -> None:
        """To the top again."""
        await self._page.evaluate(script("top"))

    async def _pass(self, box: int | None, y: float) -> float:
        milliseconds = max(0.0, self._until - time.monotonic()) * 1000
        asked = [box, y, SCROLL_PIXELS, milliseconds, self._listens]
        return float(await self._page.evaluate(script("scroll"), asked))

    async def _network(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._rest.network_is_quiet() or time.monotonic() >= self._until:
                break

    async def _boxes(self) -> list[int]:
        """Heights of what the largest scrolling boxes hold; they are numbered in this order from now on."""
        try:
            found = await self._page.evaluate(script("boxes"), BOXES)
            return [int(height) for height in found][:BOXES]
        except (Error, TypeError, ValueError) as error:
            if isinstance(error, Error) and gone(error):
                raise
            return []

    async def _heights(self) -> list[int]:
        found = await self._page.evaluate(f"() => {_BOXES}.map(box => box.scrollHeight)")
        return [int(height) for height in found]

    async def _hears(self, targets: list[str]) -> bool:
        for target in targets:
            found = await self._session.send("Runtime.evaluate", {"expression": target, "objectGroup": "urlshot"})
            if "objectId" not in found["result"]:
                continue
            handle = {"objectId": found["result"]["objectId"]}
            listeners = (await self._session.send("DOMDebugger.getEventListeners", handle))["listeners"]
            if any(listener["type"] in _EVENTS for listener in listeners):
                return True
        return False


_BOXES = "window[Symbol.for('urlshot')].boxes"
