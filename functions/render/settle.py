"""Until a page is at rest: loaded, fonts and images there, scrolled once through, animations ended, network quiet.

The page is asked from outside, in short questions that need none of its timers or promises: so a page that has changed
those, or has scripts switched off, is asked as well. A page that is done answers once and has lost a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import CDPSession, Error, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from urlshot.errors import Rejected
from urlshot.jobs import Wait

from .witness import Witness

QUIET_SECONDS = 0.25
"""Silence after a request of a script's, before the network counts as quiet."""
STILL_SECONDS = 0.1
"""The same for changes of the document, and after the load of a page that has scripts at all."""
POLL_SECONDS = 0.02
MOTION_SECONDS = 3.0
"""Longest wait for changes to end: many pages never stop to move, and are no worse for it on paper."""
SCROLL_SECONDS = 6.0
SCROLL_PIXELS = 30_000
"""Height up to which lazy content is scrolled into being: some 30 pages of A4."""
_FOLLOWED = 3
"""Times that a page may send itself elsewhere by script before it is taken as it is."""

WATCH = """(() => {
  const Native = window.IntersectionObserver;
  if (!Native) return;
  const key = Symbol.for('urlshot');
  Object.defineProperty(window, key, {value: {observers: 0}, enumerable: false});
  window.IntersectionObserver = new Proxy(Native, {construct(target, args, made) {
    window[key].observers++;
    return Reflect.construct(target, args, made);
  }});
})()"""
"""Run before the page's own scripts: notes whether they look for what is in sight, for then content may be lazy."""

_ASK = """() => {
  const root = document.scrollingElement || document.documentElement;
  if (!root) return {fonts: true, images: 0, height: 0, window: 1};
  const mine = window[Symbol.for('urlshot')] || {};
  let images = 0, shown = 0;
  for (const image of document.images) {
    if (image.loading === 'lazy') image.loading = 'eager';
    if (!image.complete) images++;
  }
  for (const frame of document.querySelectorAll('iframe[loading=lazy]')) frame.loading = 'eager';
  let playing = 0;
  for (const animation of document.getAnimations()) {
    if (animation.playState !== 'running' || animation.timeline !== document.timeline) continue;
    const end = animation.effect && animation.effect.getComputedTiming().endTime;
    if (end > 20000 || !Number.isFinite(end)) continue;
    try { animation.finish(); playing++; } catch { }
  }
  const scripts = document.scripts.length > 0;
  if (scripts && !mine.watch && document.documentElement) {
    mine.watch = new MutationObserver(() => { mine.changed = performance.now(); });
    mine.watch.observe(document, {childList: true, subtree: true, attributes: true, characterData: true});
  }
  let sum = 0;
  const canvases = scripts ? [...document.querySelectorAll('canvas')].slice(0, 8) : [];
  for (const canvas of canvases) {
    try {
      const small = new OffscreenCanvas(24, 24).getContext('2d');
      small.drawImage(canvas, 0, 0, 24, 24);
      for (const value of small.getImageData(0, 0, 24, 24).data) sum = (sum * 31 + value) | 0;
    } catch { }
  }
  return {
    fonts: document.fonts.status === 'loaded', images, playing, scripts,
    still: mine.changed ? performance.now() - mine.changed : 1e9,
    canvas: canvases.length ? sum : null,
    observers: mine.observers || 0,
    height: root.scrollHeight, window: innerHeight || 1,
  };
}"""

_AT_REST = {"fonts": True, "images": 0, "playing": 0, "scripts": False, "still": 1e9, "canvas": None}
_AT_REST |= {"observers": 0, "height": 0, "window": 1}
"""What counts for a page that has made itself impossible to ask."""

_SCROLL = """async ([from, to, milliseconds]) => {
  const end = performance.now() + milliseconds;
  const root = document.scrollingElement || document.documentElement;
  const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 100); });
  let y = from;
  while (y < Math.min(root.scrollHeight, to) && performance.now() < end) {
    y += innerHeight || 600;
    window.scrollTo({top: y, behavior: 'instant'});
    await frame();
  }
  return y;
}"""

_TOP = "() => window.scrollTo({top: 0, behavior: 'instant'})"


def gone(error: Error) -> bool:
    """Whether the page has gone or is going, rather than a question to it failed on what it did to its own objects."""
    return any(word in error.message for word in ("navigat", "context was destroyed", "closed", "crashed", "detached"))


class Settle:
    """Brings one page to rest, until `deadline` on the monotonic clock at the latest."""

    def __init__(self, page: Page, witness: Witness, session: CDPSession, deadline: float, *, scripts: bool) -> None:
        self._page = page
        self._witness = witness
        self._session = session
        self._deadline = deadline
        self._scripts = scripts
        self.waited: list[Wait] = []
        self.scroll_limit = 0
        """SCROLL_PIXELS where the page went on loading below them."""

    def left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    @asynccontextmanager
    async def wait(self, what: str, limit: float = 600.0) -> AsyncIterator[None]:
        """Notes how long something took; at its limit, or at the deadline, it is given up and noted as timed out."""
        began, late = time.monotonic(), False
        try:
            async with asyncio.timeout(min(limit, self.left())):
                yield
        except (TimeoutError, PlaywrightTimeout):
            late = True
        finally:
            took = round((time.monotonic() - began) * 1000, 1)
            if len(self.waited) < 20:
                self.waited.append(Wait(what=what, milliseconds=took, timed_out=late))

    def unsettled(self) -> tuple[str, ...]:
        """What the page was still about when it was given up; motion alone is none of it."""
        return tuple(dict.fromkeys(wait.what for wait in self.waited if wait.timed_out and wait.what != "motion"))

    async def event(self, name: str) -> None:
        """Waits for one of the page's own events: `load`, `domcontentloaded` or `networkidle`."""
        async with self.wait(name):
            await self._page.wait_for_load_state(name, timeout=0)  # type: ignore[arg-type] # one of the three

    async def fonts(self) -> None:
        async with self.wait("fonts"):
            while True:
                if (await self._ask())["fonts"]:
                    break
                await asyncio.sleep(POLL_SECONDS)

    async def selector(self, selector: str) -> None:
        """Waits for an element to be visible.

        Raises:
            Rejected: `invalid_option`: it is no selector.
        """
        try:
            async with self.wait("wait_for"):
                await self._page.wait_for_selector(f"css={selector}", state="visible", timeout=0)
        except Error as error:
            if gone(error):
                raise
            raise Rejected("invalid_option", "wait_for is no CSS selector.", internal=error.message[:300]) from error

    async def expression(self, expression: str) -> None:
        """Waits for an expression of the caller's to be true; while it raises, it is not."""
        question = f"() => Boolean({expression}\n)"
        async with self.wait("wait_expression"):
            while True:
                try:
                    if await self._page.evaluate(question):
                        break
                except Error as error:
                    if gone(error) and "navigat" not in error.message and "context was" not in error.message:
                        raise
                    if "SyntaxError" in error.message:
                        raise Rejected("invalid_option", "wait_expression is no JavaScript expression.") from error
                await asyncio.sleep(POLL_SECONDS)

    async def delay(self, seconds: float) -> None:
        async with self.wait("delay"):
            await asyncio.sleep(seconds)

    async def rest(self) -> None:
        """Waits until the page is at rest; one that goes elsewhere by script meanwhile is followed."""
        for _ in range(_FOLLOWED):
            await self.event("load")
            try:
                await self._quiet("content")
                await self._scroll()
            except Error as error:
                if not gone(error):
                    return  # it cannot be asked, for what it did to its own objects
                if "navigat" not in error.message and "context was destroyed" not in error.message:
                    raise
            else:
                return

    async def _ask(self) -> dict[str, Any]:
        try:
            return {**_AT_REST, **await self._page.evaluate(_ASK)}
        except Error as error:
            if gone(error):
                raise
            return dict(_AT_REST)

    async def _quiet(self, what: str) -> dict[str, Any]:
        """Fonts, images, animations, network; then whatever else moves."""
        began = time.monotonic()
        state: dict[str, Any] = {}
        async with self.wait(what):
            while True:
                state = await self._ask()
                if self._at_rest(state, began):
                    break
                await asyncio.sleep(POLL_SECONDS)
        if state.get("scripts") and not self._still(state, None) and self.waited[-1].timed_out is False:
            async with self.wait("motion", MOTION_SECONDS):
                before: dict[str, Any] | None = None
                while not self._still(state, before):
                    before = state
                    await asyncio.sleep(STILL_SECONDS / 2)
                    state = await self._ask()
        return state

    def _at_rest(self, state: dict[str, Any], began: float) -> bool:
        if not state["fonts"] or state["images"] or state.get("playing") or self._witness.busy():
            return False
        if not self._scripts or not state["scripts"]:
            return True
        return time.monotonic() - began >= STILL_SECONDS and self._witness.silence() >= QUIET_SECONDS

    def _still(self, state: dict[str, Any], before: dict[str, Any] | None) -> bool:
        """Whether nothing changes; a canvas is drawn on unseen, so it takes two looks."""
        if state["still"] < STILL_SECONDS * 1000:
            return False
        return state["canvas"] is None or (before is not None and before["canvas"] == state["canvas"])

    async def _scroll(self) -> None:
        """Scrolls once through a page that may load more when it is looked at, and back to its top."""
        state = await self._ask()
        if state["height"] <= state["window"] * 1.1 or not self._scripts or not await self._is_lazy(state):
            return
        until = time.monotonic() + SCROLL_SECONDS
        y = 0.0
        async with self.wait("scroll", SCROLL_SECONDS + 1):
            while y < min(state["height"], SCROLL_PIXELS) and time.monotonic() < until:
                milliseconds = max(0.0, min(self.left(), until - time.monotonic())) * 1000
                y = float(await self._page.evaluate(_SCROLL, [y, SCROLL_PIXELS, milliseconds]))
                while True:
                    await asyncio.sleep(POLL_SECONDS)
                    if not self._witness.busy() and self._witness.silence() >= STILL_SECONDS:
                        break
                state = await self._ask()
        if y < state["height"]:
            self.scroll_limit = int(min(y, SCROLL_PIXELS))
        await self._page.evaluate(_TOP)
        await self._quiet("lazy content")

    async def _is_lazy(self, state: dict[str, Any]) -> bool:
        """Whether the page's scripts look for what is in sight, or listen to scrolling."""
        if state["observers"]:
            return True
        for target in ("window", "document"):
            found = await self._session.send("Runtime.evaluate", {"expression": target, "objectGroup": "urlshot"})
            handle = {"objectId": found["result"]["objectId"]}
            listeners = (await self._session.send("DOMDebugger.getEventListeners", handle))["listeners"]
            if any(listener["type"] in ("scroll", "scrollend", "wheel") for listener in listeners):
                return True
        return False
