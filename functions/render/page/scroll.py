"""Scrolls through a page so that its scripts load the content that they load only when it is in view."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any

from functions.render.devtools.page import Page
from functions.render.page.rest import POLL_SECONDS, Rest
from functions.render.page.scripts import gone, number, script
from playwright_aws_lambda import DevToolsError

SCROLL_SECONDS = 6.0
SCROLL_PIXELS = 30_000
"""Height up to which a page is scrolled, some 30 pages of A4."""
BOXES = 12
"""Most boxes within the page that are scrolled as well."""
_STEP = 0.8
"""Part of a screen that each step scrolls; the same as in scroll.js."""
_EVENTS = {"scroll", "scrollend", "wheel"}


class Scroll:
    """One scroll through a page and its boxes."""

    seconds = SCROLL_SECONDS

    def __init__(self, page: Page, rest: Rest) -> None:
        self._page = page
        self._rest = rest
        self._listens = False
        self._y = 0.0
        self._height = 0
        self._until = 0.0
        self._is_late = False
        """Whether the time ran out in the window, so that content for its last screens may still come."""

    async def is_lazy(self) -> bool:
        """Returns whether the page can scroll, and its scripts observe what is in view or listen to scrolling."""
        state = self._rest.state
        self._height = state.height
        boxes, self._listens = await self._look()
        if state.height <= state.window * 1.1 and not boxes:
            return False
        return state.observers > 0 or self._listens

    async def through(self, left: float) -> None:
        """Scrolls the window, then the boxes, for `left` seconds or SCROLL_SECONDS at most."""
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
        """Returns the pixels that were scrolled through if the page continues below them; 0 if its end was reached.

        Call it when the content that the scrolling requested has come: the page may have grown after the time ran out.
        """
        if self._is_late:
            self._height = max(self._height, (await self._rest.ask()).height)
        return int(max(1, min(self._y, SCROLL_PIXELS))) if self._y < self._height else 0

    async def back(self) -> None:
        """Scrolls the window and the boxes back to the top."""
        await self._page.evaluate(script("top"))

    async def _pass(self, box: int | None, y: float) -> float:
        milliseconds = max(0.0, self._until - time.monotonic()) * 1000
        asked = [box, y, SCROLL_PIXELS, milliseconds, self._listens]
        try:
            return number(await self._page.evaluate(script("scroll"), asked))
        except ValueError:  # the page has changed its own objects, and is scrolled no further
            return SCROLL_PIXELS

    async def _network(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._rest.network_is_quiet() or time.monotonic() >= self._until:
                break

    async def _boxes(self) -> list[int]:
        """Returns the content heights of the largest scrolling boxes; later calls number the boxes in this order."""
        try:
            return _heights(await self._page.evaluate(script("boxes"), BOXES))
        except DevToolsError as error:
            if gone(error):
                raise
            return []

    async def _heights(self) -> list[int]:
        return _heights(await self._page.evaluate(f"() => ({_BOXES} || []).map(box => box.scrollHeight)"))

    async def _look(self) -> tuple[int, bool]:
        """Returns the number of the page's scrolling boxes, and whether scripts listen to scrolling.

        One call for both: `getEventListeners` is a function that DevTools gives to the expressions of its users.
        """
        call = {"expression": _looking(), "includeCommandLineAPI": True, "returnByValue": True}
        found = (await self._page.session.call("Runtime.evaluate", call))["result"].get("value")
        try:
            boxes, listens = found
            return int(number(boxes)), bool(listens)
        except (TypeError, ValueError):
            return 0, True  # the page has changed its own objects; scrolling changes nothing if no script listens


def _heights(found: Any) -> list[int]:
    """Returns the heights that a script found; none if the page has changed what the script asks."""
    try:
        return [int(number(height)) for height in found[:BOXES]]
    except (TypeError, ValueError, KeyError):
        return []


@cache
def _looking() -> str:
    return f"""(() => {{
  const boxes = ({script("boxes")})({BOXES});
  const targets = [window, document, ...({_BOXES} || [])];
  return [boxes.length, targets.some(target => {{
    const listeners = getEventListeners(target);
    return {sorted(_EVENTS)}.some(type => listeners[type]);
  }})];
}})()"""


_BOXES = "window[Symbol.for('urlshot')]?.boxes"
