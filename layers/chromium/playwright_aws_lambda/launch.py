"""Starts Playwright's driver and Chromium, and restarts Chromium when it has to go."""

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
"""Longest that one way of launching may take, until a page in it has answered."""
REAP_SECONDS = 2.0
"""Longest wait for killed processes to end; those that take longer are reaped after the next launch."""


def chromium_args() -> list[str]:
    """Chromium's switches for Lambda, beyond Playwright's own. No `--disable-web-security` among them."""
    return [
        # No way past the proxy: no UDP of QUIC or WebRTC, no lookup of a name by Chromium itself.
        "--disable-quic",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # the same switch's name in older builds
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--dns-prefetch-disable",
        # Nothing that the page did not ask for.
        "--no-pings",
        "--disable-domain-reliability",
        "--disable-client-side-phishing-detection",
        # There is no GPU, and its stand-in is not in the layer: Chromium would look for it, and a single process die of
        # not finding it (measured). So there is no WebGL either.
        "--disable-gpu",
        "--disable-software-rasterizer",
        "--disable-webgl",
        "--font-render-hinting=none",
    ]


class Chromium:
    """One running Chromium.

    It runs as several processes where the machine lets it. Where it does not, which is what reports of Lambda in the
    wild say, it runs as a single one: then Chromium allows only one context, and each `new_context()` starts a process
    anew. There is one of them in a process of ours: `kill()` ends whatever runs the binary below it.
    """

    def __init__(self, playwright: Playwright, binary: Path, layer: Layer, proxy: str | None) -> None:
        self._playwright = playwright
        self._layer = layer
        self._proxy = proxy
        self._browser: Browser | None = None
        self.binary = binary
        self.version = ""
        self.single_process = False
        self._proven = False
        self._killed: list[int] = []
        self.on_death: Callable[[], None] = lambda: None
        """Called when the browser ends by itself; not when `kill()` or `close()` ended it."""

    def environment(self) -> dict[str, str]:
        """All that Chromium gets to see of our environment."""
        home = self._layer.workspace() / "home"
        return {
            "LD_LIBRARY_PATH": str(self._layer.libraries),
            "FONTCONFIG_PATH": str(self._layer.files),
            "HOME": str(home),
            "TMPDIR": str(self._layer.scratch),
        }

    async def start(self) -> None:
        """Launches, the strong way first, and reaps the processes of the browser before.

        Raises:
            playwright.async_api.Error, TimeoutError: neither way works.
        """
        try:
            with _translated():
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
                if self._proven:  # it did work here, so this is trouble of another kind
                    raise
            else:
                self._proven = True
                return
        self.single_process = True
        async with asyncio.timeout(LAUNCH_SECONDS):
            context = await self.new_context()
            await context.close()

    async def _start_processes(self) -> None:
        browser = await self._playwright.chromium.launch(**self._options([]))
        # A browser that launches may still be unable to start a renderer; only a page that answers tells.
        context = await browser.new_context()
        page = await context.new_page()
        await page.evaluate("1")
        await context.close()
        self._browser, self.version = browser, browser.version
        browser.on("disconnected", self._disconnected)

    async def new_context(self, **options: Any) -> BrowserContext:
        """A context that shares nothing with any other; the options are those of Playwright's `new_context`."""
        if self._browser is not None:
            with _translated():
                return await self._browser.new_context(**options)
        # HOME survives, a profile must not.
        profile = tempfile.mkdtemp(prefix="profile-", dir=self._layer.workspace())
        launch = self._options(["--single-process", "--no-zygote", "--in-process-gpu"])
        try:
            with _translated():
                context = await self._playwright.chromium.launch_persistent_context(profile, **launch, **options)
        except BaseException:  # a cancellation too
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
            # Who started us handles signals.
            "handle_sigint": False,
            "handle_sigterm": False,
            "handle_sighup": False,
        }

    def _disconnected(self, browser: Browser) -> None:
        if browser is self._browser:
            self._browser = None
            self.on_death()

    def processes(self) -> list[int]:
        """Ids of the browser's processes."""
        return browser_processes(self.binary)

    def memory(self) -> int:
        """Bytes of memory that the browser's processes do not share with anything."""
        return sum(map(private_bytes, self.processes()))

    def kill(self) -> None:
        """Ends the browser at once, however busy it is; `start()` makes a new one."""
        self._browser = None
        self._killed += kill_browser(self.binary)

    async def _reap(self) -> None:
        killed, self._killed = self._killed, []
        await asyncio.to_thread(reap_orphans, self.binary, killed, REAP_SECONDS)

    async def close(self) -> None:
        """Ends browser and driver."""
        self.kill()
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(5):
                await self._playwright.stop()
        await self._reap()


async def launch_chromium(*, proxy: str | None = None, layer: Layer | None = None) -> Chromium:
    """Chromium of the layer, ready for `new_context()`; every connection goes through `proxy`, loopback too.

    Playwright's driver starts while Chromium is still being inflated. Nothing else may change `os.environ` meanwhile.

    Raises:
        LayerError: there is no usable layer.
        playwright.async_api.Error, TimeoutError: driver or browser did not start.
    """
    layer = layer or Layer.here()
    binary = asyncio.create_task(asyncio.to_thread(layer.inflate, "chromium"))
    try:
        node = await asyncio.to_thread(layer.inflate, "node")
        adopt_orphans()
        with _driver_environment(node, layer):
            playwright = await async_playwright().start()
        chromium = Chromium(playwright, await binary, layer, proxy)
    finally:
        await asyncio.gather(binary, return_exceptions=True)
    await chromium.start()
    return chromium


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turns an AttributeError of Playwright's own into an Error.

    A context whose browser is killed while it is launched has no browser type yet. Playwright 1.65 fails over that in
    its close listener, keeps the AttributeError, and raises it at the next call, which may be that of the next launch.
    """
    try:
        yield
    except AttributeError as error:
        raise Error(f"a browser was killed while it was launched: {error}") from error


@contextlib.contextmanager
def _driver_environment(node: Path, layer: Layer) -> Iterator[None]:
    """Lets the driver start with three variables only: it copies `os.environ`, and is no place for secrets."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(PLAYWRIGHT_NODEJS_PATH=str(node), HOME=str(layer.workspace() / "home"), TMPDIR=str(layer.scratch))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
