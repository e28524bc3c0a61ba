"""Until a page is at rest: loaded, fonts and images there, scrolled once through, animations ended, network quiet.

The page is asked from outside, in short questions that need none of its timers or promises: so a page that has changed
those, or has scripts switched off, is asked as well. A page that is done answers once and has lost a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import CDPSession, Error, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from urlshot.errors import Rejected, failure
from urlshot.jobs import Wait

from .loading import Loading
from .press import press
from .rest import POLL_SECONDS, Rest
from .scripts import gone
from .scroll import Scroll
from .source import reach_closed_roots, read
from .witness import Witness

_FOLLOWED = 10
"""Pages through which one may lead by script or refresh."""
_WAITS = 20
"""Waits that the report names."""


class Settle:
    """Brings one page to rest, until `deadline` on the monotonic clock at the latest."""

    def __init__(
        self, page: Page, witness: Witness, session: CDPSession, loading: Loading, deadline: float, *, scripts: bool
    ) -> None:
        self._page = page
        self._session = session
        self._loading = loading
        self._witness = witness
        self._deadline = deadline
        self._scripts = scripts
        self._rest = Rest(page, session, witness, scripts=scripts)
        self.waited: list[Wait] = []
        self.breaks_off = False
        """Whether the document's source ends in the middle."""
        self.frames_break_off = 0
        """The number of frames whose sources do."""
        self._closed = False
        self.scroll_limit = 0
        """Pixels that were scrolled through, where the page went on loading below them."""

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
            self._note(what, time.monotonic() - began, late=late)

    def _note(self, what: str, seconds: float, *, late: bool) -> None:
        if len(self.waited) < _WAITS:
            self.waited.append(Wait(what=what, milliseconds=round(seconds * 1000, 1), timed_out=late))

    def unsettled(self) -> tuple[str, ...]:
        """What the page was still about when it was given up; motion alone is none of it."""
        late = [wait.what for wait in self.waited if wait.timed_out and wait.what != "motion"]
        return tuple(dict.fromkeys(late))

    @property
    def silent(self) -> int:
        """Sockets and event streams that are open and have not sent anything yet."""
        return self._rest.silent

    async def event(self, name: str) -> None:
        """Waits for one of the page's own events: `load`, `domcontentloaded` or `networkidle`.

        The first two are not waited for where the loading has ended without them.
        """
        async with self.wait(name):
            came = asyncio.ensure_future(self._page.wait_for_load_state(name, timeout=0))  # type: ignore[arg-type] # one of the three
            ended = asyncio.ensure_future(self._loading.ended.wait())
            ends = {came} if name == "networkidle" else {came, ended}
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if came.done():
                    came.result()
            finally:
                for task in (came, ended):
                    task.cancel()
                await asyncio.gather(came, ended, return_exceptions=True)

    async def fonts(self) -> None:
        async with self.wait("fonts"):
            while True:
                if (await self._rest.ask()).fonts:
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
        """Waits until the page is at rest; one that goes elsewhere by script meanwhile is followed.

        Raises:
            Rejected: `too_many_redirects`.
        """
        for _ in range(_FOLLOWED):
            await self.event("load")
            try:
                await asyncio.gather(self._quiet("content"), self.look_into_source())
                if await self._refresh():
                    continue
                if self._closed:
                    await reach_closed_roots(self._page, self._session)
                    await self._quiet("content")
                await self._scroll()
            except Error as error:
                if not gone(error):
                    return  # it cannot be asked, for what it did to its own objects
                if "navigat" not in error.message and "context was destroyed" not in error.message:
                    raise
                await asyncio.sleep(POLL_SECONDS)  # what the browser says about the new document is under way
            else:
                return
        raise failure("too_many_redirects", f"The page led through {_FOLLOWED} pages and went on to the next.")

    async def _refresh(self) -> bool:
        """Waits until a document that only points to another has sent the page there; whether there is one."""
        if self._loading.refresh is None:
            return False
        async with self.wait("refresh", self._loading.refresh + 1):
            await self._loading.refreshed.wait()
        return True

    async def look_into_source(self) -> None:
        """Looks into the source of the document: does it break off, and are there shadow roots that are closed?"""
        responses = [self._witness.response, *self._witness.framed]
        source, *framed = await asyncio.gather(*(read(response) for response in responses))
        self.breaks_off = source.breaks_off
        self._closed = self._scripts and any(each.closed_roots for each in (source, *framed))
        self.frames_break_off = sum(each.breaks_off for each in framed)

    async def press(self, media: str, window: int | None) -> None:
        """Opens an application shell, gives the page its print media and `beforeprint`, and waits for what they bring.

        `window` is the width of the sheet in CSS pixels, where the page is to be laid out for it.
        """
        try:
            async with self.wait("print media", 2.0):
                if window is not None and self._page.viewport_size is not None:
                    await self._page.set_viewport_size({**self._page.viewport_size, "width": window})
                await press(self._page, self._session, media, scripts=self._scripts)
            await self._quiet("print content", again=True)
        except Error as error:
            if gone(error):
                raise

    async def _quiet(self, what: str, *, again: bool = False) -> None:
        """Fonts, images, animations, network; then what scripts will soon have done, and whatever else moves."""
        content, motion, moved = await self._rest.quiet(self._deadline, again=again)
        self._note(what, content, late=self._rest.loading)
        if motion:
            self._note("motion", motion, late=moved)

    async def _scroll(self) -> None:
        """Scrolls once through a page that may load more when it is looked at, and back to its top."""
        scroll = Scroll(self._page, self._session, self._rest)
        if not self._scripts or not await scroll.is_lazy():
            return
        async with self.wait("scroll", scroll.seconds + 1):
            await scroll.through(self.left())
        await scroll.back()
        await self._quiet("lazy content")
        self.scroll_limit = await scroll.limit()
