"""Brings a page to rest: loaded, fonts and images complete, scrolled through, animations ended, network quiet.

The page is polled from outside with short scripts that need none of its timers or promises. They work even if the page
has replaced these, or has scripts switched off. A page that is at rest costs one poll, a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from functions.render.devtools.network import Response
from functions.render.devtools.page import IDLE_SECONDS, Page
from functions.render.page.glance import Glance, glance
from functions.render.page.loading import Loading
from functions.render.page.press import press
from functions.render.page.rest import POLL_SECONDS, Rest, State
from functions.render.page.scripts import gone, script
from functions.render.page.scroll import Scroll
from functions.render.page.source import reach_closed_roots, read
from functions.render.page.witness import Witness
from playwright_aws_lambda import DevToolsError, Gone, Navigated
from urlshot.core.errors import Rejected, failure
from urlshot.core.render_contract import Wait

_FOLLOWED = 10
"""Most pages in a row that navigate on by script or refresh."""
_WAITS = 20
"""Most waits that the report names."""


class Readiness:
    """Brings one page to rest, until `deadline` on the monotonic clock at the latest."""

    def __init__(
        self, page: Page, witness: Witness, loading: Loading, deadline: float, *, scripts: bool, wakes: bool
    ) -> None:
        """Takes a page that is about to load; `Rest` explains `scripts` and `wakes`."""
        self._page = page
        self._loading = loading
        self._witness = witness
        self._deadline = deadline
        self._scripts = scripts
        self._rest = Rest(page, witness, loading, scripts=scripts, wakes=wakes)
        self.waited: list[Wait] = []
        self.glance: Glance | None = None
        """The facts about a page if one look was enough; None if more has to be done for it."""
        self._breaks: asyncio.Future[list[bool]] | None = None
        """Whether the sources of the document and of its frames break off."""
        self._closed = False
        self._no_pdf: Response | None = None
        """The response of a document whose source is not that of a PDF."""
        self.scroll_limit = 0
        """Pixels that were scrolled through if the page continues below them; 0 if its end was reached."""

    def left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    @asynccontextmanager
    async def wait(self, what: str, limit: float = 600.0) -> AsyncIterator[None]:
        """Limits a wait to `limit` seconds and the deadline, and notes its length and whether it timed out."""
        began, late = time.monotonic(), False
        try:
            async with asyncio.timeout(min(limit, self.left())):
                yield
        except TimeoutError:
            late = True
        finally:
            self._note(what, time.monotonic() - began, late=late)

    def _note(self, what: str, seconds: float, *, late: bool) -> None:
        if len(self.waited) < _WAITS:
            self.waited.append(Wait(what=what, milliseconds=round(seconds * 1000, 1), timed_out=late))

    def unsettled(self) -> tuple[str, ...]:
        """Returns the names of the waits that timed out; motion does not count."""
        late = [wait.what for wait in self.waited if wait.timed_out and wait.what != "motion"]
        return tuple(dict.fromkeys(late))

    @property
    def silent(self) -> int:
        """Number of WebSockets and event streams that are open and have not received a message."""
        return self._rest.silent

    async def event(self, name: str) -> None:
        """Waits for one of the page's events: `load`, `domcontentloaded` or `networkidle`.

        The wait for the first two also ends when the page has stopped loading without them.
        """
        async with self.wait(name):
            event = self._loading.parsed if name == "domcontentloaded" else self._loading.loaded
            ends = [asyncio.ensure_future(one.wait()) for one in (event, self._loading.ended)]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
            if name == "networkidle":
                await self._network_idle()

    async def _network_idle(self) -> None:
        """Waits until no request has been under way for IDLE_SECONDS."""
        since = time.monotonic()
        while time.monotonic() - since < IDLE_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            if not self._page.network.idle():
                since = time.monotonic()

    async def fonts(self) -> None:
        async with self.wait("fonts"):
            while True:
                if (await self._rest.ask()).fonts:
                    break
                await asyncio.sleep(POLL_SECONDS)

    async def state(self) -> State:
        """Asks the page for its state.

        Raises:
            DevToolsError: The page has gone.
        """
        return await self._rest.ask()

    def note_missing(self, state: State, *, content: bool) -> None:
        """Notes as late what is still to come, although the event of the page has come that the caller chose.

        Args:
            state: The state of the page.
            content: Whether the page may still lack its content.
        """
        if state.images:
            self._note("images", 0.0, late=True)
        if content and (state.pending or self._witness.busy()):
            self._note("content", 0.0, late=True)

    async def selector(self, selector: str) -> None:
        """Waits until an element that matches the selector is visible.

        Raises:
            Rejected: `invalid_option`: The selector is not valid.
        """
        try:
            async with self.wait("wait_for"):
                while True:
                    if await self._found(selector):
                        break
                    await asyncio.sleep(POLL_SECONDS)
        except DevToolsError as error:
            if gone(error):
                raise
            raise Rejected("invalid_option", "wait_for is not a CSS selector.", internal=error.message[:300]) from error

    async def _found(self, selector: str) -> bool:
        try:
            return bool(await self._page.evaluate(script("visible"), selector))
        except Navigated:
            return False
        except DevToolsError as error:
            if "SyntaxError" in error.message:
                raise
            return False  # the page has changed its own objects

    async def expression(self, expression: str) -> None:
        """Waits until the caller's expression is true; an expression that raises counts as false.

        Raises:
            Rejected: `invalid_option`: The expression is not valid JavaScript.
        """
        question = f"() => Boolean({expression}\n)"
        async with self.wait("wait_expression"):
            while True:
                try:
                    if await self._page.evaluate(question):
                        break
                except Gone:
                    raise
                except DevToolsError as error:
                    if "SyntaxError" in error.message:
                        raise Rejected("invalid_option", "wait_expression is not a JavaScript expression.") from error
                await asyncio.sleep(POLL_SECONDS)

    async def delay(self, seconds: float) -> None:
        async with self.wait("delay"):
            await asyncio.sleep(seconds)

    async def rest(self, asked: str = "") -> None:
        """Waits until the page is at rest; follows it if it navigates by script or refresh.

        Args:
            asked: The job's URL if nothing more is to be waited for, so that a glance may be enough; else empty.

        Raises:
            Rejected: `too_many_redirects`: Each of _FOLLOWED pages navigated to another one.
        """
        for _ in range(_FOLLOWED):
            await self.event("load")
            document = self._loading.documents
            try:
                if asked:
                    await asyncio.gather(self.look_into_source(), self.look_once(asked, rests=True))
                    if self.glance is not None and not self._closed:
                        return
                    self.glance = None
                    await self._quiet("content", of=document)
                else:
                    await asyncio.gather(self._quiet("content", of=document), self.look_into_source())
                if await self._refresh():
                    continue
                if self._closed:
                    await reach_closed_roots(self._page)
                    await self._quiet("content", of=document)
                await self._scroll(document)
            except Gone:
                raise
            except DevToolsError as error:
                if not gone(error):
                    return  # the page has changed its own objects and cannot be polled
                await asyncio.sleep(POLL_SECONDS)  # the events of the new document are still to arrive
            else:
                if self._loading.documents == document:
                    return
        raise failure("too_many_redirects", f"The page led through {_FOLLOWED} pages in a row.")

    async def _refresh(self) -> bool:
        """Waits for a refresh that leads to another document soon; returns False if there is none."""
        if self._loading.refresh is None:
            return False
        async with self.wait("refresh", self._loading.refresh + 1):
            await self._loading.refreshed.wait()
        return True

    async def look_into_source(self) -> None:
        """Reads the sources of the documents, checks them for closed shadow roots, and begins to follow their tags."""
        response = self._witness.response
        framed = asyncio.gather(*(read(each) for each in self._witness.framed))
        try:
            source = await read(response)  # without a task of its own, so it is requested before the page is looked at
            sources = [source, *await framed]
        finally:
            framed.cancel()
        self._no_pdf = None if source.may_be_pdf else response
        self._closed = self._scripts and any(each.closed_roots for each in sources)
        self._breaks = asyncio.gather(*(each.breaks_off() for each in sources))

    async def broken_off(self) -> tuple[int, int]:
        """Returns the numbers of documents of the page, 0 or 1, and of its frames whose sources end in the middle."""
        page, *frames = await self._breaks if self._breaks is not None else [False]
        return int(page), sum(frames)

    async def look_once(self, asked: str, *, rests: bool) -> State | None:
        """Looks at the page, and sets `glance` if that is enough; returns the page's state, None if it is unknown.

        Args:
            asked: The job's URL.
            rests: Whether the page must be at rest.
        """
        began, document = time.monotonic(), self._loading.documents
        found = await glance(self._page, self._rest, asked, rests=rests)
        leaves = self._loading.leaves or self._loading.documents != document or self._loading.refresh is not None
        if found is not None and found.look is not None and not (rests and (leaves or self._witness.busy())):
            self.glance = found
            self._note("content", time.monotonic() - began, late=False)
        return found.state if found is not None else None

    @property
    def may_be_pdf(self) -> bool:
        """Whether the page's document may be a PDF that came as text."""
        return self._no_pdf is None or self._no_pdf is not self._witness.response

    async def press(self, media: str, window: int | None) -> None:
        """Opens an application shell, applies the print media, sends `beforeprint`, and waits for the effects.

        Args:
            media: The CSS media type, `print` or `screen`.
            window: Width of the sheet in CSS pixels, to lay the page out for it; None keeps the window.
        """
        try:
            async with self.wait("print media", 2.0):
                if window is not None:
                    await self._page.set_window(window, self._page.window[1])
                await press(self._page, media, scripts=self._scripts)
            await self._quiet("print content", again=True)
        except DevToolsError as error:
            if gone(error):
                raise

    async def _quiet(self, what: str, *, of: int | None = None, again: bool = False) -> None:
        """Waits for fonts, images, animations and the network, then for pending scripts and other changes.

        Args:
            what: The name of the wait.
            of: The number of the document that is waited for; None to wait for any.
            again: Whether the page was at rest a moment ago.

        Raises:
            Navigated: The page has another document than `of`.
        """
        stays = lambda: of is None or self._loading.documents == of  # noqa: E731 - a condition
        content, motion, moved = await self._rest.quiet(self._deadline, again=again, stays=stays)
        self._note(what, content, late=self._rest.loading)
        if motion:
            self._note("motion", motion, late=moved)

    async def _scroll(self, document: int) -> None:
        """Scrolls once through a document that may load content when it comes into view, and back to the top."""
        scroll = Scroll(self._page, self._rest)
        if not self._scripts or not await scroll.is_lazy():
            return
        async with self.wait("scroll", scroll.seconds + 1):
            await scroll.through(self.left())
        await scroll.back()
        await self._quiet("lazy content", of=document)
        self.scroll_limit = await scroll.limit()
