"""One page: its settings, its navigation, and the print."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pybase64

from functions.render.devtools.frames import Frame, Frames, exception_text
from functions.render.devtools.network import Network, Observer
from playwright_aws_lambda import Blank, Chromium, DevToolsError, Session

DOCUMENTS = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Response"}
"""The pattern of DevTools' Fetch domain that pauses the response of every document."""
DOCUMENT_REQUESTS = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Request"}
"""The pattern that pauses the request for every document."""
REQUESTS = {"urlPattern": "*", "requestStage": "Request"}
"""The pattern that pauses every request."""
_WORKERS = {
    "autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True,
    "filter": [{"type": kind, "exclude": True} for kind in ("service_worker", "shared_worker")] + [{}],
}  # fmt: skip
"""Workers wait until their requests are followed. Service workers and shared ones may serve other pages."""
IDLE_SECONDS = 0.5
"""Time without a request under way after which the network counts as idle."""
PAINTED = 0.1
"""The scale at which the browser paints the page for a screen that nobody sees. The page does not notice the scale."""
RESIZE_SECONDS = 1.0
"""Longest wait for a page to take another size of its window."""
_FONTS = {
    "standard": "Times New Roman", "fixed": "Monospace", "serif": "Times New Roman", "sansSerif": "Arial",
    "cursive": "Comic Sans MS", "fantasy": "Impact",
}  # fmt: skip
"""The families that the browser takes for the generic ones; fonts.conf maps them to the layer's fonts."""

Paused = Callable[[Session, dict[str, Any]], None]
"""Handles an event of the Fetch domain."""


@dataclass(frozen=True)
class Settings:
    """The settings of a page.

    Attributes:
        scripts: Whether the page may run scripts.
        user_agent: The value of the header `User-Agent`; empty for the browser's own.
        locale: The language of the page, such as `en-US`.
        timezone: The name of the timezone, such as `UTC`.
        width: The width of the window in CSS pixels.
        height: Its height.
        device_scale: The number of device pixels in a CSS pixel.
        color_scheme: `light` or `dark`.
    """

    scripts: bool = True
    user_agent: str = ""
    locale: str = "en-US"
    timezone: str = "UTC"
    width: int = 1280
    height: int = 720
    device_scale: float = 1
    color_scheme: str = "light"


class Page:
    """A page in a context of its own.

    Attributes:
        session: The session of the page's process, which also sends the events of the domain Page.
        frames: The page's frames.
        window: Width and height of the window in CSS pixels.
        ended: Done when the page has crashed or closed; the result says which.
    """

    def __init__(self, chromium: Chromium, blank: Blank, settings: Settings, scripts: tuple[str, ...]) -> None:
        self._chromium = chromium
        self._blank = blank
        self._settings = settings
        self._scripts = list(scripts)
        self._media = ""
        self._workers: dict[str, Session] = {}
        """The sessions of workers by their ids."""
        self._paused: Paused | None = None
        self._requests = False
        self._bindings: dict[str, Callable[[Frame, str], None]] = {}
        self._loaders: set[str] = set()
        self._committed = asyncio.Event()
        self._resized = asyncio.Event()
        self.session = blank.session
        self.window = settings.width, settings.height
        # The main frame has the id of the page.
        self.frames = Frames(self.session, blank.target, self._on_commit, lambda frame: self.network.removed(frame))
        self.network = Network(self.frames)
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        blank.on_close = lambda: self._end("The page closed itself.")

    async def open(self) -> None:
        """Applies the settings, and lets the page run.

        Raises:
            DevToolsError: The browser refuses a setting, such as an unknown timezone.
        """
        session, settings = self.session, self._settings
        self._watch()
        calls = [
            session.call("Emulation.setFocusEmulationEnabled", {"enabled": True}),
            session.call("Page.setFontFamilies", {"fontFamilies": _FONTS}),
            session.call("Emulation.setTimezoneOverride", {"timezoneId": settings.timezone}),
            session.call("Emulation.setLocaleOverride", {"locale": settings.locale}),
            self._set_metrics(),
        ]
        if not settings.scripts:
            session.post("Emulation.setScriptExecutionDisabled", {"value": True})
        calls.append(session.call("Runtime.runIfWaitingForDebugger"))
        await asyncio.gather(*calls)

    @property
    def main_frame(self) -> Frame:
        return self.frames.main

    @property
    def url(self) -> str:
        """The URL of the page's document."""
        return self.frames.main.url

    def observe(self, observer: Observer) -> None:
        """Sends all further events to `observer`."""
        self.network.observer = observer

    async def goto(self, url: str, seconds: float) -> None:
        """Opens a URL, and returns when its document is in the page.

        Raises:
            DevToolsError: The document did not come; the message has Chromium's reason, such as
                `net::ERR_CONNECTION_REFUSED`.
            TimeoutError: It did not come within `seconds`.
        """
        async with asyncio.timeout(seconds):
            found = await self.session.call("Page.navigate", {"url": url})
            if found.get("isDownload"):
                raise DevToolsError("net::ERR_ABORTED: the URL leads to a download")
            if found.get("errorText"):
                raise DevToolsError(f"{found['errorText']} at {url}")
            while found["loaderId"] not in self._loaders:
                self._committed.clear()
                await self._committed.wait()

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """Calls a function in the page's document; see `Frame.evaluate`."""
        return await self.frames.main.evaluate(function, argument)

    async def set_window(self, width: int, height: int) -> None:
        """Sets the size of the window in CSS pixels, and returns when the page has taken it."""
        if self.window == (width, height):
            return
        self.window = width, height
        self._resized.clear()
        await self._set_metrics()
        with contextlib.suppress(TimeoutError):  # a page that is busy takes the size later
            await asyncio.wait_for(self._resized.wait(), RESIZE_SECONDS)

    async def set_media(self, media: str) -> None:
        """Sets the CSS media type, `print` or `screen`."""
        if self._media != media:
            self._media = media
            await self.session.call("Emulation.setEmulatedMedia", self._emulated())

    async def set_cookies(self, cookies: list[dict[str, Any]]) -> None:
        """Adds cookies to the page's context."""
        await self.session.call("Network.setCookies", {"cookies": cookies})

    async def print(self, paper: dict[str, Any], begun: Callable[[], None] = lambda: None) -> bytes:
        """Prints the page and returns the PDF.

        Args:
            paper: The parameters of DevTools' `Page.printToPDF`.
            begun: Called when the command has been sent. The page's process takes commands in their order, so a script
                that is evaluated from then on runs right after the print.
        """
        printing = self.session.call("Page.printToPDF", paper)
        begun()
        return pybase64.b64decode((await printing)["data"], validate=True)

    def intercept(self, paused: Paused, *, requests: bool = False, asks: bool = False) -> None:
        """Calls `paused` for each paused response of a document, and for each request if `requests` is set.

        Args:
            paused: Handles the events `Fetch.requestPaused` and `Fetch.authRequired`.
            requests: Whether to pause the requests too, those of frames and workers included.
            asks: Whether to pause requests for which the server asks for a password.
        """
        self._paused, self._requests = paused, requests or asks
        for name in ("Fetch.requestPaused", "Fetch.authRequired"):
            self.session.on(name, partial(paused, self.session))
        patterns = [DOCUMENTS, REQUESTS] if self._requests else [DOCUMENTS]
        self.session.post("Fetch.enable", {"patterns": patterns, "handleAuthRequests": asks})

    def pause_documents(self, *, pauses: bool, requests: bool = False) -> None:
        """Begins or ends to pause the responses of documents, and their requests too if `requests` is set."""
        if not pauses:
            self.session.post("Fetch.disable")
            return
        patterns = [DOCUMENTS, DOCUMENT_REQUESTS] if requests else [DOCUMENTS]
        self.session.post("Fetch.enable", {"patterns": patterns})

    async def add_script(self, script: str) -> None:
        """Runs a script in every further document, before the document's own scripts."""
        self._scripts.append(script)
        await self.session.call("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    async def add_binding(self, name: str, called: Callable[[Frame, str], None]) -> None:
        """Gives the page a function that sends a text to `called`, which also gets the frame."""
        self._bindings[name] = called
        await self.session.call("Runtime.addBinding", {"name": name})

    async def catch_up(self) -> None:
        """Returns when all events have come that the page's process has sent so far: a print may overtake them."""
        await self.session.call("Runtime.evaluate", {"expression": "0"})

    @property
    def can_open_others(self) -> bool:
        """Whether the browser can have another page at the same time."""
        return not self._chromium.single_process

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[Page]:
        """Opens a blank page in another context, and closes it at the end.

        Raises:
            DevToolsError: The browser cannot open it.
        """
        page = Page(self._chromium, await self._chromium.new_page(), self._settings, ())
        try:
            await page.open()
            yield page
        finally:
            with contextlib.suppress(DevToolsError):
                await page.close()

    async def close(self) -> None:
        """Closes the page with its context.

        Raises:
            DevToolsError: The browser has ended.
        """
        for worker in self._workers.values():
            worker.end("the page has closed")
        await self._chromium.dispose(self._blank)

    def _watch(self) -> None:
        """Follows the page's frames, requests, console and dialogs, and applies what all documents get."""
        session = self.session
        self.frames.watch(session)
        session.on("Page.frameResized", lambda _: self._resized.set())
        session.on("Inspector.targetCrashed", lambda _: self._crash())
        session.on("Page.javascriptDialogOpening", self._dismiss)
        session.on("Log.entryAdded", self._logged)
        session.on("Runtime.bindingCalled", self._called)
        session.post("Page.enable")
        session.post("Log.enable")
        self._follow(session)
        session.post("Emulation.setEmulatedMedia", self._emulated())
        for script in self._scripts if self._settings.scripts else ():
            session.post("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def _follow(self, session: Session) -> None:
        """Follows the requests, the console and the workers of the page or of a worker."""
        session.on("Target.attachedToTarget", self._attached)
        session.on("Target.detachedFromTarget", self._detached)
        session.on("Runtime.consoleAPICalled", self._said)
        session.on("Runtime.exceptionThrown", self._thrown)
        session.post("Runtime.enable")
        self.network.watch(session)
        session.post("Target.setAutoAttach", _WORKERS)
        self._set_agent(session)

    def _attached(self, event: dict[str, Any]) -> None:
        """Prepares a worker, which waits for that; a worklet has no requests of its own."""
        session = self.session.child(event["sessionId"])
        if event["targetInfo"]["type"] != "worker":
            session.post("Runtime.runIfWaitingForDebugger")
            session.end("it is not followed")
            return
        self._workers[session.id] = session
        self._follow(session)
        if self._paused is not None and self._requests:
            for name in ("Fetch.requestPaused", "Fetch.authRequired"):
                session.on(name, partial(self._paused, session))
            session.post("Fetch.enable", {"patterns": [REQUESTS]})
        session.post("Runtime.runIfWaitingForDebugger")

    def _detached(self, event: dict[str, Any]) -> None:
        worker = self._workers.pop(event["sessionId"], None)
        if worker is not None:
            worker.end("the worker has ended")
            self.network.forget(worker)

    def _set_agent(self, session: Session) -> None:
        agent = {"userAgent": self._settings.user_agent, "acceptLanguage": self._settings.locale}
        session.post("Emulation.setUserAgentOverride", agent)

    def _emulated(self) -> dict[str, Any]:
        features = {
            "prefers-color-scheme": self._settings.color_scheme, "prefers-reduced-motion": "no-preference",
            "forced-colors": "none", "prefers-contrast": "no-preference",
        }  # fmt: skip
        return {"media": self._media, "features": [{"name": name, "value": value} for name, value in features.items()]}

    def _set_metrics(self) -> asyncio.Future[Any]:
        width, height = self.window
        metrics = {
            "width": width, "height": height, "screenWidth": width, "screenHeight": height, "mobile": False,
            "scale": PAINTED,
            "deviceScaleFactor": self._settings.device_scale,
            "screenOrientation": {"angle": 0, "type": "landscapePrimary"},
        }  # fmt: skip
        return self.session.call("Emulation.setDeviceMetricsOverride", metrics)

    def _on_commit(self, frame: Frame) -> None:
        self.network.committed(frame)
        if frame is self.frames.main:
            self._loaders.add(frame.loader)
            self._committed.set()
        if self.network.observer is not None:
            self.network.observer.on_commit(frame)

    def _said(self, event: dict[str, Any]) -> None:
        if self.network.observer is not None:
            words = (str(each.get("value", each.get("description", ""))) for each in event["args"])
            self.network.observer.on_console(event["type"], " ".join(words))

    def _logged(self, event: dict[str, Any]) -> None:
        entry = event["entry"]
        if self.network.observer is not None and entry["source"] != "worker":
            self.network.observer.on_console(entry["level"], entry["text"])

    def _thrown(self, event: dict[str, Any]) -> None:
        if self.network.observer is not None:
            self.network.observer.on_exception(exception_text(event["exceptionDetails"]))

    def _called(self, event: dict[str, Any]) -> None:
        frame = self.frames.at(event["executionContextId"])
        called = self._bindings.get(event["name"])
        if frame is not None and called is not None:
            called(frame, event["payload"])

    def _dismiss(self, event: dict[str, Any]) -> None:
        """Closes a dialog, for which the page's scripts would wait; a page may always be left."""
        self.session.post("Page.handleJavaScriptDialog", {"accept": event["type"] == "beforeunload"})

    def _crash(self) -> None:
        self.session.end("the page has crashed")
        self._end("The browser's tab crashed on this page.")

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
