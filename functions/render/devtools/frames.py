"""The frames of a page, from the events of DevTools' Page and Runtime domains."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright_aws_lambda import DevToolsError, Navigated, Session


class Frame:
    """A frame, or the page's main frame, which has no `parent`.

    Attributes:
        id: Chromium's id.
        url: The URL of the document, with its fragment.
        loader: Chromium's id of the load of the document.
    """

    def __init__(self, name: str, parent: Frame | None, session: Session) -> None:
        self.id = name
        self.parent = parent
        self.url = ""
        self.loader = ""
        self._session = session
        self.context = ""
        """The id of the world of the document's scripts; empty if it is not known."""

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """Calls a function in the document and returns its value, or that of its promise.

        The call needs none of the page's objects, so it works if the page has changed these.

        Args:
            function: A JavaScript function.
            argument: Its argument, which JSON can represent.

        Raises:
            Gone: The page has gone.
            Navigated: Another document has come meanwhile, or there is none yet.
            DevToolsError: The function failed.
        """
        call = {"expression": f"({function})({json.dumps(argument)})", "returnByValue": True, "awaitPromise": True}
        if self.parent is not None:
            if not self.context:
                raise Navigated("the frame has no document yet")
            call["uniqueContextId"] = self.context
        found = await self._session.call("Runtime.evaluate", call)
        if "exceptionDetails" in found:
            raise DevToolsError(exception_text(found["exceptionDetails"]))
        return found["result"].get("value")


class Frames:
    """All frames of one page, the main frame first."""

    def __init__(
        self, session: Session, main: str, on_commit: Callable[[Frame], None], on_removal: Callable[[Frame], None]
    ) -> None:
        """Takes the page before it is opened.

        Args:
            session: The page's session.
            main: Chromium's id of the main frame.
            on_commit: Called when another document is in a frame.
            on_removal: Called when a frame has gone.
        """
        self._on_commit = on_commit
        self._on_removal = on_removal
        self._session = session
        self.main = Frame(main, None, session)
        self.main.url = "about:blank"
        self._frames = {main: self.main}
        self._contexts: dict[int, Frame] = {}
        """The frames by the number of their world."""

    def get(self, name: str) -> Frame | None:
        """Returns the frame with this id; None if there is none."""
        return self._frames.get(name)

    def others(self) -> list[Frame]:
        """Returns all frames but the main one."""
        return [frame for frame in self._frames.values() if frame is not self.main]

    def at(self, context: int) -> Frame | None:
        """Returns the frame whose scripts run in this world; None if it has gone."""
        return self._contexts.get(context)

    def watch(self, session: Session) -> None:
        """Follows the frames that a page's session reports."""
        session.on("Page.frameAttached", self._attached)
        session.on("Page.frameNavigated", self._navigated)
        session.on("Page.navigatedWithinDocument", self._moved)
        session.on("Page.frameDetached", self._detached)
        session.on("Runtime.executionContextCreated", self._created)
        session.on("Runtime.executionContextDestroyed", self._destroyed)
        session.on("Runtime.executionContextsCleared", lambda _: self._cleared())

    def _attached(self, event: dict[str, Any]) -> None:
        name = event["frameId"]
        if name not in self._frames:
            self._frames[name] = Frame(name, self._frames.get(event["parentFrameId"], self.main), self._session)

    def _navigated(self, event: dict[str, Any]) -> None:
        found = event["frame"]
        frame = self._frames.get(found["id"])
        if frame is None:
            return
        for child in [child for child in self.others() if child.parent is frame]:
            self._remove(child)
        frame.url, frame.loader = found["url"] + found.get("urlFragment", ""), found["loaderId"]
        self._on_commit(frame)

    def _moved(self, event: dict[str, Any]) -> None:
        if (frame := self._frames.get(event["frameId"])) is not None:
            frame.url = event["url"]

    def _detached(self, event: dict[str, Any]) -> None:
        frame = self._frames.get(event["frameId"])
        if frame is not None and frame is not self.main and event.get("reason") != "swap":
            self._remove(frame)

    def _remove(self, frame: Frame) -> None:
        if self._frames.pop(frame.id, None) is not None:
            self._on_removal(frame)
        for child in [child for child in self.others() if child.parent is frame]:
            self._remove(child)

    def _created(self, event: dict[str, Any]) -> None:
        world = event["context"]
        facts = world.get("auxData") or {}
        frame = self._frames.get(facts.get("frameId", ""))
        if frame is not None and facts.get("isDefault"):
            frame.context = world["uniqueId"]
            self._contexts[world["id"]] = frame

    def _destroyed(self, event: dict[str, Any]) -> None:
        frame = self._contexts.pop(event["executionContextId"], None)
        if frame is not None and frame.context == event.get("executionContextUniqueId", frame.context):
            frame.context = ""

    def _cleared(self) -> None:
        for frame in self._contexts.values():
            frame.context = ""
        self._contexts.clear()


def exception_text(details: dict[str, Any]) -> str:
    """Returns the name and message of an exception, without its stack."""
    thrown = details.get("exception") or {}
    text = str(thrown.get("description") or thrown.get("value") or details.get("text", ""))
    return text.partition("\n    at ")[0]
