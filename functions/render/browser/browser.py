"""The browser between jobs: always one fresh context ahead, and replaced when a page was too much for it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from playwright.async_api import Error, Page

from functions.render.network.ledger import Ledger
from functions.render.network.proxy import EgressProxy
from playwright_aws_lambda import Chromium, Layer, LayerError, launch_chromium
from urlshot.core.egress import Egress
from urlshot.core.errors import Broken, Rejected, Transient
from urlshot.network.dial import Resolver, resolve

CLOSE_SECONDS = 1.5
"""Longest that a finished page may take to go away; after that its browser does."""
PREPARE_SECONDS = 10.0
LIFE_JOBS = 100
"""Jobs after which a browser is replaced, because what a page leaves behind adds up."""
LIFE_BYTES = 600_000_000
"""Memory of all its processes, beyond what they share, at which it is replaced, when its last page is gone."""

_CONTEXT = {
    "accept_downloads": False,
    "service_workers": "block",  # a fresh context has none, and what they would do is done too late for the print
    "locale": "en-US",
    "timezone_id": "UTC",  # the same page everywhere, whatever the machine's clock says
}


class Browser:
    """Chromium, its proxy, and a page that was made before it is asked for."""

    def __init__(
        self, egress: Egress, layer: Layer, on_death: Callable[[], None], resolver: Resolver = resolve
    ) -> None:
        self._proxy = EgressProxy(egress, resolver)
        self._layer = layer
        self._on_death = on_death
        self._chromium: Chromium | None = None
        self._next: asyncio.Task[Page] | None = None
        self._jobs = 0
        self.replaced = 0
        """Times that a browser was replaced for its age or size, not for a page that was too much for it."""

    async def start(self) -> None:
        """Launches everything and prepares the first page.

        Raises:
            Broken: there is no layer, or Chromium does not start on this machine.
        """
        try:
            self._chromium = await launch_chromium(proxy=await self._proxy.start(), layer=self._layer)
        except (Error, TimeoutError, LayerError) as error:
            raise Broken(f"Chromium did not start: {error}") from error
        self._chromium.on_death = self._on_death
        self._prepare(restart=False)

    @property
    def chromium(self) -> Chromium:
        """The running Chromium."""
        if self._chromium is None:
            raise Broken("the browser was not started")
        return self._chromium

    async def take(self, ledger: Ledger, context: Mapping[str, Any] | None = None) -> Page:
        """The prepared page, now allowed on the network on this ledger's account.

        With `context`, options of Playwright's `new_context`, it is a page made for them, which takes a little longer.

        Raises:
            Transient: `crash`: no page could be made, not even in a new browser; this process is to end then.
        """
        coming = self._next or self._prepare(restart=False)
        for _ in range(2):
            try:
                page = await asyncio.shield(coming)
                if context:
                    page = await self._instead(page, context)
            except (Error, TimeoutError):
                coming = self._prepare(restart=True)
            else:
                self._next = None
                self._proxy.begin(ledger)
                return page
        # Not even a new browser helps, so it is the driver or the machine: this process is of no more use.
        self._on_death()
        raise Transient("crash", internal="no page could be made")

    async def give_back(self, page: Page | None, *, healthy: bool) -> None:
        """Ends a page and all that it opened, and begins to prepare the next one.

        A page that hung or crashed takes its browser along, and a browser that is old or large goes between two jobs.
        Takes CLOSE_SECONDS at most.
        """
        await self._proxy.end()
        if healthy and page is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await page.context.close()
            except (Error, TimeoutError):
                healthy = False
        self._jobs += 1
        fresh = healthy and not self._is_worn()
        if not fresh:
            self.replaced += healthy
            self._jobs = 0
            self.chromium.kill()
        self._prepare(restart=not fresh)

    async def close(self) -> None:
        """Ends browser, driver and proxy."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        if self._chromium is not None:
            await self._chromium.close()
        await self._proxy.close()

    def _is_worn(self) -> bool:
        return self._jobs >= LIFE_JOBS or self.chromium.memory() > LIFE_BYTES

    def _prepare(self, *, restart: bool) -> asyncio.Task[Page]:
        if self._next is not None:
            self._next.cancel()  # a browser that is half launched is killed by the restart
        self._next = asyncio.create_task(self._make(restart=restart))
        # If nobody takes this page, its failure is still read, or asyncio would report it as forgotten.
        self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._next

    async def _make(self, *, restart: bool) -> Page:
        if restart:
            self.chromium.kill()
            await self.chromium.start()
        return await self._page({})

    async def _instead(self, page: Page, options: Mapping[str, Any]) -> Page:
        """A page with options of its own, in place of the prepared one.

        Raises:
            Rejected: `invalid_option`: Chromium does not know that timezone or locale.
        """
        async with asyncio.timeout(CLOSE_SECONDS):
            await page.context.close()
        try:
            return await self._page(options)
        except Error as error:
            if re.search(r"invalid (timezone|locale)", error.message, re.IGNORECASE):
                raise Rejected("invalid_option", "locale or timezone is not one that the browser knows.") from error
            raise

    async def _page(self, options: Mapping[str, Any]) -> Page:
        async with asyncio.timeout(PREPARE_SECONDS):
            context = await self.chromium.new_context(**{**_CONTEXT, **options})
            page = await context.new_page()
        context.on("page", _close_popup)
        return page


async def _close_popup(page: Page) -> None:
    with contextlib.suppress(Error):
        await page.close()
