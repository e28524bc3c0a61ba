"""Keeps the browser between jobs: prepares a fresh context for the next job, and replaces a damaged browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from functions.render.browser.context import DEFAULT
from functions.render.devtools.page import Page, Settings
from functions.render.network.ledger import Ledger
from functions.render.network.proxy import EgressProxy
from playwright_aws_lambda import Chromium, DevToolsError, Layer, LayerError, launch_chromium
from urlshot.core.egress import Egress
from urlshot.core.errors import Broken, Rejected, Transient
from urlshot.network.dial import Resolver, resolve

CLOSE_SECONDS = 1.5
"""Longest wait for a finished page to close; after that the browser is killed."""
PREPARE_SECONDS = 10.0
SLICES = 5
"""Number of parts of such a wait. While Lambda freezes the process, the clock goes on, and at most one part ends."""
LIFE_JOBS = 100
"""Jobs after which a browser is replaced, because the remains of pages add up.

A replacement takes 0.23 s of processor time, half a percent of what a hundred jobs take. The unshared memory was 58 MB
after the first job, 63 MB after 100 and 72 MB after 500 (measured).
"""
LIFE_BYTES = 600_000_000
"""Unshared memory of all browser processes, after the last page is closed, above which the browser is replaced."""
_NO_WORKER = "if (self.ServiceWorkerContainer) ServiceWorkerContainer.prototype.register = async () => {};"
"""A fresh context has no service worker, and a new one would take effect too late for the print."""

_T = TypeVar("_T")


class Browser:
    """Chromium, its proxy, and a page that is prepared for the next job."""

    def __init__(
        self,
        egress: Egress,
        layer: Layer,
        on_death: Callable[[], None],
        resolver: Resolver = resolve,
        *,
        watch: str = "",
    ) -> None:
        """Takes the rules for all jobs.

        Args:
            egress: The rules for hosts.
            layer: The layer that contains Chromium.
            on_death: Called when the browser ends by itself.
            resolver: Resolves the names of hosts.
            watch: A script that runs in every document before the page's own scripts, unless scripts are off.
        """
        self._proxy = EgressProxy(egress, resolver)
        self._layer = layer
        self._on_death = on_death
        self._watch = watch
        self._chromium: Chromium | None = None
        self._next: asyncio.Task[Page] | None = None
        self._jobs = 0
        self.replaced = 0
        """How often a browser was replaced for its age or size; replacements after a bad page do not count."""

    async def start(self) -> None:
        """Launches the proxy and Chromium, and begins to prepare the first page.

        Raises:
            Broken: There is no layer, or Chromium does not start on this machine.
        """
        try:
            self._chromium = await launch_chromium(proxy=await self._proxy.start(), layer=self._layer)
        except (DevToolsError, TimeoutError, LayerError, OSError) as error:
            raise Broken(f"Chromium did not start: {error}") from error
        self._chromium.on_death = self._on_death
        self._prepare(restart=False)

    @property
    def chromium(self) -> Chromium:
        """The running Chromium."""
        if self._chromium is None:
            raise Broken("the browser has not been started")
        return self._chromium

    async def take(self, ledger: Ledger, settings: Settings = DEFAULT) -> Page:
        """Returns a page, and opens the proxy for it. The page of the job before is closed by then.

        Args:
            ledger: Counts the connections and bytes of the page.
            settings: The settings of the page. With others than `DEFAULT` a new page is made, which takes a little
                longer than to return the prepared page.

        Raises:
            Rejected: `invalid_option`: Chromium does not know the timezone or locale.
            Transient: `crash`: No page could be made, not even in a new browser; the process is to end.
        """
        coming = self._next or self._prepare(restart=False)
        for _ in range(2):
            try:
                page = await asyncio.shield(coming)
                if settings != DEFAULT:
                    page = await self._instead(page, settings)
            except (DevToolsError, TimeoutError):
                coming = self._prepare(restart=True)
            else:
                self._next = None
                self._proxy.begin(ledger)
                return page
        # A new browser did not help, so the driver or the machine is broken: the process must be replaced.
        self._on_death()
        raise Transient("crash", internal="no page could be made")

    async def give_back(self, page: Page | None, *, healthy: bool) -> None:
        """Cuts all connections of a page, and begins to close it and to prepare the next one.

        `take()` waits for that, so the answer to this job does not.

        Args:
            page: The page; None if the job got none.
            healthy: False if the page hung or crashed; its browser is then replaced. A browser that is old or large is
                replaced as well.
        """
        await self._proxy.end()
        if not healthy:
            self.chromium.kill()  # a page that hangs needs the processor
        self._begin(self._renew(page, healthy=healthy))

    async def close(self) -> None:
        """Ends the browser, the driver and the proxy."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        if self._chromium is not None:
            await self._chromium.close()
        await self._proxy.close()

    async def _renew(self, page: Page | None, *, healthy: bool) -> Page:
        """Closes a page and returns the next one, in a new browser if this one is unhealthy or worn."""
        if healthy and page is not None:
            try:
                await _within(CLOSE_SECONDS, page.close())
            except (DevToolsError, TimeoutError):
                healthy = False
        self._jobs += 1
        fresh = healthy and not self._is_worn()
        if not fresh:
            self.replaced += healthy
            self._jobs = 0
        return await self._make(restart=not fresh)

    def _is_worn(self) -> bool:
        return self._jobs >= LIFE_JOBS or self.chromium.memory() > LIFE_BYTES

    def _prepare(self, *, restart: bool) -> asyncio.Task[Page]:
        return self._begin(self._make(restart=restart))

    def _begin(self, work: Coroutine[Any, Any, Page]) -> asyncio.Task[Page]:
        if self._next is not None:
            self._next.cancel()  # the restart kills a browser that is half launched
        self._next = asyncio.create_task(work)
        # The failure of a page that no job takes must be read, or asyncio reports it as never retrieved.
        self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._next

    async def _make(self, *, restart: bool) -> Page:
        if restart:
            self.chromium.kill()
            await self.chromium.start()
        return await self._page(DEFAULT)

    async def _instead(self, page: Page, settings: Settings) -> Page:
        """Closes the prepared page and returns a new one with these settings.

        Raises:
            Rejected: `invalid_option`: Chromium does not know the timezone or locale.
        """
        await _within(CLOSE_SECONDS, page.close())
        try:
            return await self._page(settings)
        except DevToolsError as error:
            if re.search(r"invalid (timezone|locale)", error.message, re.IGNORECASE):
                raise Rejected("invalid_option", "The browser does not know this locale or timezone.") from error
            raise

    async def _page(self, settings: Settings) -> Page:
        async def opened() -> Page:
            page = Page(self.chromium, await self.chromium.new_page(), settings, (_NO_WORKER, self._watch))
            await page.open()
            return page

        return await _within(PREPARE_SECONDS, opened())


async def _within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Limits work to so many seconds in which the process runs.

    Lambda may freeze the process during such work and thaw it minutes later. A single timer would then end the work
    before the browser, which was frozen too, could answer.

    Raises:
        TimeoutError: The work took longer.
    """
    task = asyncio.create_task(work)
    try:
        for _ in range(SLICES):
            if (await asyncio.wait({task}, timeout=seconds / SLICES))[0]:
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
