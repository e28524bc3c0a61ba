"""The requests of a page, from the events of DevTools' Network domain."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from functions.render.devtools.frames import Frame, Frames
from playwright_aws_lambda import Session

BODY_BYTES = 2_000_000
"""Largest body that the browser keeps for `Response.body`."""
BODIES_BYTES = 40_000_000
"""Largest size of all bodies that it keeps for a page."""


@dataclass(eq=False)
class Request:
    """A request of a page, its frames or its workers; a redirect makes another one.

    Attributes:
        url: The URL.
        kind: The type of the resource, in lower case, such as `document`, `stylesheet`, `fetch` or `xhr`.
        navigates: Whether the response becomes the document of a frame.
        frame: The frame, if it is known.
        loader: Chromium's id of the load of the document that the request is for.
        failure: Chromium's reason, such as `net::ERR_ABORTED`; empty unless the request failed.
    """

    id: str
    session: Session
    url: str
    kind: str
    navigates: bool
    frame: Frame | None
    loader: str
    failure: str = ""


@dataclass(eq=False)
class Response:
    """The head of a response; the names of `headers` are in lower case."""

    request: Request
    url: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)

    async def body(self) -> bytes:
        """Returns the body.

        Raises:
            DevToolsError: The browser has no body, or no longer keeps it.
        """
        found = await self.request.session.call("Network.getResponseBody", {"requestId": self.request.id})
        return base64.b64decode(found["body"]) if found["base64Encoded"] else found["body"].encode()


class Observer(Protocol):
    """Receives the events of a page, in their order."""

    def on_request(self, request: Request) -> None:
        """A request has begun."""

    def on_response(self, response: Response) -> None:
        """The head of a response has come."""

    def on_end(self, request: Request) -> None:
        """A response has come to its end."""

    def on_failure(self, request: Request) -> None:
        """A request has failed; `failure` says why."""

    def on_commit(self, frame: Frame) -> None:
        """Another document is in a frame."""

    def on_console(self, level: str, text: str) -> None:
        """A message has come to the console, of the page or of the browser itself."""

    def on_exception(self, text: str) -> None:
        """No script has caught an exception."""


class Network:
    """Follows the requests of all sessions of one page."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._under_way: dict[str, Request] = {}
        self.observer: Observer | None = None

    def watch(self, session: Session) -> None:
        """Follows the requests that a session reports."""
        session.on("Network.requestWillBeSent", partial(self._sent, session))
        session.on("Network.responseReceived", self._responded)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.loadingFailed", self._failed)
        sizes = {"maxResourceBufferSize": BODY_BYTES, "maxTotalBufferSize": BODIES_BYTES}
        session.post("Network.enable", sizes)

    def forget(self, session: Session) -> None:
        """Ends the requests under way of a session that has gone."""
        self._abort([request for request in self._under_way.values() if request.session is session])

    def committed(self, frame: Frame) -> None:
        """Ends the requests of a frame's earlier documents, about whose end the browser is silent."""
        self._abort(
            [
                request
                for request in self._under_way.values()
                if request.frame is frame and request.loader != frame.loader and not request.navigates
            ]
        )

    def removed(self, frame: Frame) -> None:
        """Ends the requests of a frame that has gone."""
        self._abort([request for request in self._under_way.values() if request.frame is frame])

    def _abort(self, requests: list[Request]) -> None:
        for request in requests:
            self._failed({"requestId": request.id, "errorText": "net::ERR_ABORTED"})

    def idle(self) -> bool:
        """Returns whether no request is under way."""
        return not self._under_way

    def _sent(self, session: Session, event: dict[str, Any]) -> None:
        url: str = event["request"]["url"]
        if self.observer is None or url.startswith("data:"):
            return
        number: str = event["requestId"]
        if "redirectResponse" in event:
            before = self._under_way.pop(number, None)
            if before is not None:
                self.observer.on_response(_response(before, event["redirectResponse"]))
                self.observer.on_end(before)
        kind = event.get("type", "Other").lower()
        navigates = kind == "document" and number == event["loaderId"]
        frame = self._frames.get(event.get("frameId", ""))
        request = Request(number, session, url, kind, navigates, frame, event["loaderId"])
        self._under_way[number] = request
        self.observer.on_request(request)

    def _responded(self, event: dict[str, Any]) -> None:
        request = self._under_way.get(event["requestId"])
        if request is not None and self.observer is not None:
            self.observer.on_response(_response(request, event["response"]))

    def _finished(self, event: dict[str, Any]) -> None:
        request = self._under_way.pop(event["requestId"], None)
        if request is not None and self.observer is not None:
            self.observer.on_end(request)

    def _failed(self, event: dict[str, Any]) -> None:
        request = self._under_way.pop(event["requestId"], None)
        if request is not None and self.observer is not None:
            request.failure = event.get("errorText") or event.get("blockedReason") or "failed"
            self.observer.on_failure(request)


def _response(request: Request, found: dict[str, Any]) -> Response:
    headers = {name.lower(): value for name, value in found["headers"].items()}
    return Response(request, found["url"], found["status"], headers)
