"""Starts Playwright's driver and Chromium, and restarts Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Error, Playwright, async_playwright

from playwright_aws_lambda.layer import Layer
from playwright_aws_lambda.processes import (
    adopt_orphans,
    browser_processes,
    kill_browser,
    private_bytes,
    reap_orphans,
)

LAUNCH_SECONDS = 20.0
"""Longest time for one launch, in either mode, until the browser is ready."""
DRIVER_SECONDS = 1.0
"""Longest wait for the driver to answer before a restart of the browser."""
REAP_SECONDS = 2.0
"""Longest wait for killed processes to end. Slower ones are reaped after the next launch."""


def chromium_args() -> list[str]:
    """Returns Chromium's switches for Lambda, in addition to Playwright's. Web security stays enabled."""
    return [
        # Nothing bypasses the proxy: no UDP of QUIC or WebRTC, and no name lookups by Chromium.
        "--disable-quic",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # the same switch's name in older builds
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--dns-prefetch-disable",
        # No requests that the page did not make.
        "--no-pings",
        "--disable-domain-reliability",
        "--disable-client-side-phishing-detection",
        # There is no GPU, and the layer has no software renderer. A Chromium in single-process mode that looks for one
        # crashes (measured). So there is no WebGL either.
        "--disable-gpu",
        "--disable-software-rasterizer",
        "--disable-webgl",
        "--font-render-hinting=none",
    ]


class Chromium:
    """One running Chromium.

    Chromium runs as several processes if the machine allows it. Otherwise, which users report of Lambda, it runs in
    single-process mode: then it allows only one context, so each `new_context()` starts a new process. A Python process
    must have only one `Chromium`, because `kill()` kills every descendant that runs the binary.

    Attributes:
        binary: The path of the inflated browser.
        version: The browser's version; empty before the first launch.
        single_process: Whether Chromium runs in single-process mode.
    """

    def __init__(self, playwright: Playwright, binary: Path, node: Path, layer: Layer, proxy: str | None) -> None:
        self._playwright = playwright
        self._node = node
        self._layer = layer
        self._proxy = proxy
        self._browser: Browser | None = None
        self.binary = binary
        self.version = ""
        self.single_process = False
        self._proven = False
        self._killed: list[int] = []
        self.on_death: Callable[[], None] = lambda: None
        """Called when the browser ends by itself, but not after `kill()` or `close()`."""

    def environment(self) -> dict[str, str]:
        """Returns Chromium's environment variables, which include none of this process."""
        home = self._layer.workspace() / "home"
        return {
            "LD_LIBRARY_PATH": str(self._layer.libraries),
            "FONTCONFIG_PATH": str(self._layer.files),
            "HOME": str(home),
            "TMPDIR": str(self._layer.scratch),
        }

    async def start(self) -> None:
        """Launches Chromium, if possible as several processes, and reaps the processes of the previous browser.

        Raises:
            playwright.async_api.Error, TimeoutError: Neither mode works.
        """
        try:
            with _translated():
                if self.version:  # not at the first launch, whose driver has nothing to do yet
                    await self._renew_driver_if_behind()
                await self._launch()
        finally:
            await self._reap()

    async def _launch(self) -> None:
        if not self.single_process:
            try:
                async with asyncio.timeout(LAUNCH_SECONDS):
                    await self._start_processes()
            except (Error, TimeoutError):
                self.kill()
                if self._proven:  # this mode works on this machine, so the cause is another one
                    raise
            else:
                self._proven = True
                return
        self.single_process = True
        async with asyncio.timeout(LAUNCH_SECONDS):
            context = await self.new_context()
            await context.close()

    async def _renew_driver_if_behind(self) -> None:
        """Replaces a driver that does not answer soon.

        The driver answers in order, after the events of the last page. A page can cause many thousands of them, such as
        requests, and the next page would wait until all of them have been handled.
        """
        try:
            async with asyncio.timeout(DRIVER_SECONDS):
                context = await self._playwright.request.new_context()
                await context.dispose()
        except (Error, TimeoutError):
            await self._stop_driver()
            with _driver_environment(self._node, self._layer):
                self._playwright = await async_playwright().start()

    async def _stop_driver(self) -> None:
        stopping = asyncio.create_task(self._playwright.stop())
        await asyncio.sleep(0)  # until the stop is requested; otherwise the end of the driver would be an error
        kill_browser(self._node)
        with contextlib.suppress(Error, TimeoutError):
            await asyncio.wait_for(stopping, 5)

    async def _start_processes(self) -> None:
        browser = await self._playwright.chromium.launch(**self._options([]))
        # A launched browser may be unable to start a renderer. Only a page that answers proves that it can.
        context = await browser.new_context()
        page = await context.new_page()
        await page.evaluate("1")
        await context.close()
        self._browser, self.version = browser, browser.version
        browser.on("disconnected", self._disconnected)

    async def new_context(self, **options: Any) -> BrowserContext:
        """Makes a context that shares nothing with others; the options are those of Playwright's `new_context`."""
        if self._browser is not None:
            with _translated():
                return await self._browser.new_context(**options)
        # Unlike HOME, a profile must not outlive its context.
        profile = tempfile.mkdtemp(prefix="profile-", dir=self._layer.workspace())
        launch = self._options(["--single-process", "--no-zygote", "--in-process-gpu"])
        try:
            with _translated():
                context = await self._playwright.chromium.launch_persistent_context(profile, **launch, **options)
        except BaseException:  # including a cancellation
            shutil.rmtree(profile, ignore_errors=True)
            raise
        context.on("close", lambda _: shutil.rmtree(profile, ignore_errors=True))
        if not self.version and context.browser is not None:
            self.version = context.browser.version
        return context

    def _options(self, extra: list[str]) -> dict[str, Any]:
        return {
            "executable_path": self.binary,
            "headless": True,
            "args": [*chromium_args(), *extra],
            "env": self.environment(),
            "proxy": {"server": self._proxy} if self._proxy else None,
            "timeout": LAUNCH_SECONDS * 1000,
            # This process handles signals itself.
            "handle_sigint": False,
            "handle_sigterm": False,
            "handle_sighup": False,
        }

    def _disconnected(self, browser: Browser) -> None:
        if browser is self._browser:
            self._browser = None
            self.on_death()

    def processes(self) -> list[int]:
        """Returns the ids of the browser's processes."""
        return browser_processes(self.binary)

    def memory(self) -> int:
        """Returns the private memory of all the browser's processes in bytes, without shared pages."""
        return sum(map(private_bytes, self.processes()))

    def kill(self) -> None:
        """Kills the browser immediately, even if it is busy; `start()` launches a new one."""
        self._browser = None
        self._killed += kill_browser(self.binary)

    async def _reap(self) -> None:
        killed, self._killed = self._killed, []
        await asyncio.to_thread(reap_orphans, self.binary, killed, REAP_SECONDS)

    async def close(self) -> None:
        """Kills the browser and stops the driver."""
        self.kill()
        await self._stop_driver()
        await self._reap()


async def launch_chromium(*, proxy: str | None = None, layer: Layer | None = None) -> Chromium:
    """Launches the layer's Chromium, ready for `new_context()`.

    Playwright's driver starts while Chromium is still being inflated. Nothing else may change `os.environ` meanwhile.

    Args:
        proxy: The proxy for every connection, including those to loopback addresses.
        layer: The layer; by default the one that contains this package.

    Raises:
        LayerError: There is no usable layer.
        playwright.async_api.Error, TimeoutError: The driver or the browser did not start.
    """
    layer = layer or Layer.here()
    binary = asyncio.create_task(asyncio.to_thread(layer.inflate, "chromium"))
    try:
        node = await asyncio.to_thread(layer.inflate, "node")
        adopt_orphans()
        with _driver_environment(node, layer):
            playwright = await async_playwright().start()
        chromium = Chromium(playwright, await binary, node, layer, proxy)
    finally:
        await asyncio.gather(binary, return_exceptions=True)
    await chromium.start()
    return chromium


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translates an AttributeError inside Playwright into a Playwright `Error`.

    If a browser is killed during its launch, its context has no browser type yet. The close listener of Playwright 1.65
    then fails with an AttributeError, which Playwright raises at the next call, possibly that of the next launch.
    """
    try:
        yield
    except AttributeError as error:
        raise Error(f"a browser was killed during its launch: {error}") from error


@contextlib.contextmanager
def _driver_environment(node: Path, layer: Layer) -> Iterator[None]:
    """Reduces `os.environ` to three variables while the driver starts: the driver copies it, with all secrets."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(PLAYWRIGHT_NODEJS_PATH=str(node), HOME=str(layer.workspace() / "home"), TMPDIR=str(layer.scratch))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
