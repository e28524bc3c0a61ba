"""Starts Chromium, restarts it, and makes blank pages in contexts of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright_aws_lambda.devtools import Connection, DevToolsError, Gone, Session
from playwright_aws_lambda.layer import Layer
from playwright_aws_lambda.processes import (
    adopt_orphans,
    descendants,
    kill_processes,
    private_bytes,
    reap_processes,
    running_processes,
)
from playwright_aws_lambda.spawn import spawn
from playwright_aws_lambda.switches import chromium_args

LAUNCH_SECONDS = 20.0
"""Longest time for one launch, in either mode, until a page answers."""
REAP_SECONDS = 2.0
"""Longest wait for killed processes to end. Slower ones are reaped after the next launch."""
_STDERR_BYTES = 2000
"""Bytes of the browser's messages that are kept, for the error of a launch that fails."""
_PAGES_ONLY = [{"type": "page"}, {"exclude": True}]


@dataclass
class Blank:
    """A blank page that waits for its settings: it runs no script until `Runtime.runIfWaitingForDebugger`.

    Attributes:
        session: The page's DevTools session.
        target: Chromium's id of the page.
        context: Chromium's id of the page's context; empty in single-process mode.
        on_close: Called when the page has closed, but not after `Chromium.dispose()`.
    """

    session: Session
    target: str
    context: str
    on_close: Callable[[], None]


class Chromium:
    """One running Chromium.

    Chromium runs as several processes if the machine allows it. Otherwise, which users report of Lambda, it runs in
    single-process mode: then it allows only one context, so each `new_page()` starts a new process.

    Attributes:
        binary: The path of the inflated browser.
        version: The browser's version; empty before the first launch.
        single_process: Whether Chromium runs in single-process mode.
    """

    def __init__(self, binary: Path, layer: Layer, proxy: str | None) -> None:
        self._layer = layer
        self._proxy = proxy
        self._connection: Connection | None = None
        self._profiles: dict[int, str] = {}
        """The profile folders of all browsers that have not been reaped, by session."""
        self._stderr = b""
        self._launched = False
        self._pid = 0
        self._pages: dict[str, Blank] = {}
        """The pages by their targets."""
        self._attached: dict[str, Session] = {}
        """The sessions of new pages by their targets."""
        self._spare: Blank | None = None
        """The page that has proven the launch."""
        self._proven = False
        self.binary = binary
        self.version = ""
        self.single_process = False
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
            DevToolsError, TimeoutError, OSError: Neither mode works.
        """
        try:
            if not self.single_process:
                try:
                    await self._prove()
                except (DevToolsError, TimeoutError):
                    if self._proven:  # this mode works on this machine, so the cause is another one
                        raise
                else:
                    self._proven = True
                    return
            self.single_process = True
            await self._prove()
        finally:
            await self._reap()

    async def _prove(self) -> None:
        """Launches the browser, once more if it ends at once: about one launch in 800 ends by a SIGSEGV (measured).

        Raises:
            DevToolsError, TimeoutError, OSError: It does not start in this mode.
        """
        try:
            try:
                await self._launch()
            except DevToolsError:
                self.kill()
                await self._launch()
        except (DevToolsError, TimeoutError):
            self.kill()
            raise

    async def _launch(self) -> None:
        """Launches the browser and makes a page. Only a page that answers proves that a renderer can start."""
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                if not self.single_process:
                    await self._spawn([])
                page = await self._make()
                await page.session.call("Runtime.evaluate", {"expression": "1"})
        except (DevToolsError, TimeoutError) as error:
            if self._stderr:
                raise type(error)(f"{error}: {self._stderr.decode(errors='replace')}") from error
            raise
        self._spare, self._launched = page, True

    async def new_page(self) -> Blank:
        """Makes a blank page in a context that shares nothing with others.

        Raises:
            DevToolsError: The browser has ended, or cannot make the page.
        """
        spare, self._spare = self._spare, None
        return spare or await self._make()

    async def _make(self) -> Blank:
        if self.single_process:
            self.kill()
            await self._reap()
            await self._spawn(["--single-process", "--no-zygote", "--in-process-gpu"])
        connection, context = self._connection, ""
        if connection is None:
            raise Gone("the browser has ended")
        place: dict[str, Any] = {"url": "about:blank"}
        if not self.single_process:
            made = await connection.browser.call("Target.createBrowserContext", {"disposeOnDetach": True})
            context = place["browserContextId"] = made["browserContextId"]
        connection.browser.post(
            "Browser.setDownloadBehavior", {"behavior": "deny", **({"browserContextId": context} if context else {})}
        )
        target = (await connection.browser.call("Target.createTarget", place))["targetId"]
        session = self._attached.pop(target, None)  # Chromium attaches a page before it answers
        if session is None:
            raise Gone("the page has closed")
        blank = Blank(session, target, context, lambda: None)
        self._pages[target] = blank
        return blank

    async def dispose(self, page: Blank) -> None:
        """Closes a page with its context.

        Raises:
            DevToolsError: The browser has ended.
        """
        self._pages.pop(page.target, None)
        if self.single_process:
            self.kill()
        elif self._connection is not None:
            try:
                call = self._connection.browser.call("Target.disposeBrowserContext", {"browserContextId": page.context})
                await call
            finally:
                page.session.end("the page has closed")

    async def _spawn(self, extra: list[str]) -> None:
        """Starts the browser's process, and asks for its version.

        Raises:
            DevToolsError: The browser does not start, or ends at once.
        """
        connection = Connection(lambda: self._ended(connection))
        try:
            reading = self._start_process(connection, extra)
        except OSError as error:  # such as a full disk
            connection.close()
            raise DevToolsError(f"Chromium does not start: {error}") from error
        self._listen(reading)
        self._connection = connection
        connection.start()
        connection.browser.on("Target.attachedToTarget", self._on_attached)
        connection.browser.on("Target.detachedFromTarget", self._on_detached)
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": _PAGES_ONLY}
        connection.browser.post("Target.setAutoAttach", attach)
        self.version = (await connection.browser.call("Browser.getVersion"))["product"].partition("/")[2]

    def _start_process(self, connection: Connection, extra: list[str]) -> int:
        """Starts the browser with a profile of its own; returns the end of a pipe from which its messages come."""
        profile = tempfile.mkdtemp(prefix="profile-", dir=self._layer.workspace())
        proxy = [f"--proxy-server={self._proxy}", "--proxy-bypass-list=<-loopback>"] if self._proxy else []
        command = [
            *(str(self.binary), *chromium_args(), *proxy, *extra),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
        ]
        try:
            self._pid, reading = spawn(command, self.environment(), *connection.theirs)
        except OSError:
            shutil.rmtree(profile, ignore_errors=True)
            raise
        self._profiles[self._pid] = profile
        return reading

    def _listen(self, end: int) -> None:
        """Keeps the last messages of the browser, so that its pipe never fills up."""
        loop = asyncio.get_running_loop()
        os.set_blocking(end, False)

        def readable() -> None:
            try:
                data = os.read(end, 1 << 16)
            except BlockingIOError:
                return
            if data:
                self._stderr = (self._stderr + data)[-_STDERR_BYTES:]
            else:
                loop.remove_reader(end)
                os.close(end)

        self._stderr = b""
        loop.add_reader(end, readable)

    def _on_attached(self, event: dict[str, Any]) -> None:
        info = event["targetInfo"]
        connection = self._connection
        if connection is None:
            return
        context = "" if self.single_process else info.get("browserContextId", "")
        if any(page.context == context for page in self._pages.values()):
            # A popup waits for its settings as well, and its opener, which may share its process, waits with it.
            popup = connection.session(event["sessionId"])
            popup.post("Emulation.setScriptExecutionDisabled", {"value": True})
            popup.post("Runtime.runIfWaitingForDebugger")
            connection.browser.post("Target.closeTarget", {"targetId": info["targetId"]})
        else:
            self._attached[info["targetId"]] = connection.session(event["sessionId"])

    def _on_detached(self, event: dict[str, Any]) -> None:
        if self._connection is not None:
            self._connection.forget(event["sessionId"], "the page has closed")
        for page in list(self._pages.values()):
            if page.session.id == event["sessionId"]:
                del self._pages[page.target]
                page.on_close()

    def _ended(self, connection: Connection) -> None:
        """Reports the end of a browser. In single-process mode that is the end of its page only."""
        if connection is not self._connection:
            return
        pages, dead = list(self._pages.values()), self._launched and not self.single_process
        self._forget()
        for page in pages:
            page.on_close()
        if dead:
            self.on_death()

    def _forget(self) -> None:
        """Closes the connection, and forgets all pages."""
        connection, self._connection = self._connection, None
        self._pages.clear()
        self._attached.clear()
        self._spare, self._launched = None, False
        if connection is not None:
            connection.close()

    def processes(self) -> list[int]:
        """Returns the ids of the browser's processes."""
        return running_processes(self._profiles.keys())

    def memory(self) -> int:
        """Returns the private memory of all the browser's processes in bytes, without shared pages."""
        family = descendants(self._pid)
        return sum(map(private_bytes, family if len(family) > 1 else self.processes()))

    def kill(self) -> None:
        """Kills the browser immediately, even if it is busy; `start()` launches a new one."""
        self._forget()
        kill_processes(self._profiles.keys())

    async def _reap(self) -> None:
        """Reaps the processes of earlier browsers, and deletes their profiles."""
        earlier = {
            session: profile
            for session, profile in self._profiles.items()
            if session != self._pid or self._connection is None
        }
        if earlier:
            for session in await asyncio.to_thread(_clean_up, earlier):
                self._profiles.pop(session, None)

    async def close(self) -> None:
        """Kills the browser."""
        self.kill()
        await self._reap()


async def launch_chromium(*, proxy: str | None = None, layer: Layer | None = None) -> Chromium:
    """Launches the layer's Chromium, ready for `new_page()`.

    Args:
        proxy: The proxy for every connection, including those to loopback addresses.
        layer: The layer; by default the one that contains this package.

    Raises:
        LayerError: There is no usable layer.
        DevToolsError, TimeoutError, OSError: The browser did not start.
    """
    layer = layer or Layer.here()
    binary = await asyncio.to_thread(layer.inflate)
    adopt_orphans()
    chromium = Chromium(binary, layer, proxy)
    await chromium.start()
    return chromium


def _clean_up(profiles: dict[int, str]) -> list[int]:
    """Reaps the processes of these sessions, and deletes their profiles; returns the sessions that have ended."""
    remaining = reap_processes(profiles.keys(), REAP_SECONDS)
    for profile in profiles.values():
        shutil.rmtree(profile, ignore_errors=True)
    return [session for session in profiles if session not in remaining]
