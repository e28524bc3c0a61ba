"""Tests the DevTools client against the other ends of its pipes, and against recorded orders of events."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.devtools.frames import Frame, Frames, exception_text
from functions.render.devtools.network import Network, Request, Response
from playwright_aws_lambda.devtools import Connection, DevToolsError, Gone, Navigated, error_for


class Browser:
    """The browser's ends of the pipes."""

    def __init__(self) -> None:
        self.ended = 0
        self.connection = Connection(self._end)
        self._in, self._out = (os.dup(end) for end in self.connection.theirs)
        self.connection.start()

    def _end(self) -> None:
        self.ended += 1

    def commands(self) -> list[dict[str, Any]]:
        """Returns the commands that have come so far."""
        os.set_blocking(self._in, False)
        try:
            return [json.loads(each) for each in os.read(self._in, 1 << 20).split(b"\0") if each]
        except BlockingIOError:
            return []

    def send(self, data: bytes) -> None:
        os.write(self._out, data)

    def close(self) -> None:
        for end in (self._in, self._out):
            os.close(end)


def with_browser(test: Callable[[Browser], Awaitable[None]]) -> None:
    """Runs a test in an event loop, and closes the pipes."""

    async def run() -> None:
        browser = Browser()
        try:
            async with asyncio.timeout(60):
                await test(browser)
        finally:
            browser.connection.close()
            browser.close()

    asyncio.run(run())


def packed(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\0" for message in messages)


@given(cuts=st.lists(st.integers(1, 40), max_size=30))
def test_messages_are_read_whatever_their_parts(cuts: list[int]) -> None:
    async def test(browser: Browser) -> None:
        seen: list[Any] = []
        session = browser.connection.session("s")
        session.on("A.came", seen.append)
        call = session.call("A.do", {"x": "ü"})
        assert browser.commands() == [{"id": 1, "method": "A.do", "params": {"x": "ü"}, "sessionId": "s"}]
        data = packed(
            *({"method": "A.came", "params": {"n": n, "text": "é" * n}, "sessionId": "s"} for n in range(5)),
            {"id": 1, "result": {"done": True}, "sessionId": "s"},
        )
        for cut in [*cuts, len(data)]:
            browser.send(data[:cut])
            data = data[cut:]
            await asyncio.sleep(0)
        assert await call == {"done": True}
        assert [event["n"] for event in seen] == [0, 1, 2, 3, 4]

    with_browser(test)


@given(
    names=st.lists(st.sampled_from(["Page.loadEventFired", "Page.loadEventFiredTwice", "Page.load", "Log.entryAdded"]))
)
def test_only_events_with_a_handler_are_parsed(names: list[str]) -> None:
    async def test(browser: Browser) -> None:
        seen: list[str] = []
        browser.connection.browser.on("Page.loadEventFired", lambda event: seen.append(event["name"]))
        call = browser.connection.browser.call("Browser.getVersion")
        for name in names:  # Chromium writes events without spaces
            text = f'"params":{{"name":"{name}"}}' if name == "Page.loadEventFired" else "not JSON"
            browser.send(f'{{"method":"{name}",{text}}}'.encode() + b"\0")
        browser.send(packed({"id": 1, "result": {}}))
        await call
        assert seen == [name for name in names if name == "Page.loadEventFired"]

    with_browser(test)


def test_large_command_waits_until_the_browser_reads() -> None:
    async def test(browser: Browser) -> None:
        text = "x" * 5_000_000
        call = browser.connection.browser.call("A.do", {"text": text})
        second = browser.connection.browser.call("A.then")
        read = b""
        while read.count(b"\0") < 2:
            read += await asyncio.to_thread(os.read, browser._in, 1 << 20)
        first, then = (json.loads(each) for each in read.split(b"\0")[:2])
        assert first["params"]["text"] == text
        assert (first["id"], then["id"], then["method"]) == (1, 2, "A.then")
        browser.send(packed({"id": 2, "result": {"n": 2}}, {"id": 1, "result": {"n": 1}}))
        assert [await call, await second] == [{"n": 1}, {"n": 2}]

    with_browser(test)


def test_end_of_the_browser_fails_all_calls_and_is_reported_once() -> None:
    async def test(browser: Browser) -> None:
        calls = [browser.connection.browser.call("A.do"), browser.connection.session("s").call("A.do")]
        os.close(browser._out)
        browser._out = os.dup(browser._in)
        for call in calls:
            with pytest.raises(Gone, match="the browser has ended"):
                await call
        with pytest.raises(Gone):
            await browser.connection.browser.call("A.again")
        assert browser.ended == 1

    with_browser(test)


def test_ended_session_fails_its_calls_and_delivers_nothing() -> None:
    async def test(browser: Browser) -> None:
        seen: list[Any] = []
        session, other = browser.connection.session("s"), browser.connection.session("t")
        session.on("A.came", seen.append)
        call, kept = session.call("A.do"), other.call("A.do")
        session.end("the page has closed")
        with pytest.raises(Gone, match=r"A\.do: the page has closed"):
            await call
        browser.send(packed({"method": "A.came", "params": {}, "sessionId": "s"}, {"id": 1, "result": {}}))
        browser.send(packed({"id": 2, "result": {"n": 2}}))
        assert await kept == {"n": 2}
        assert seen == []

    with_browser(test)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Execution context was destroyed.", Navigated),
        ("Inspected target navigated or closed", Navigated),
        ("Cannot find context with specified id", Navigated),
        ("Cannot find default execution context", Navigated),
        ("uniqueContextId not found", Navigated),
        ("Session with given id not found.", Gone),
        ("Target crashed", Gone),
        ("No target with given id found", Gone),
        ("Page range exceeds page count", DevToolsError),
    ],
)
def test_error_of_chromium_says_whether_the_page_has_gone(message: str, kind: type) -> None:
    error = error_for("Page.do", message)
    assert type(error) is kind
    assert error.message == f"Page.do: {message}"


class Noted:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_request(self, request: Request) -> None:
        self.events.append(f"request {request.kind} {request.url}")

    def on_response(self, response: Response) -> None:
        self.events.append(f"response {response.status} {response.url}")

    def on_end(self, request: Request) -> None:
        self.events.append(f"end {request.url}")

    def on_failure(self, request: Request) -> None:
        self.events.append(f"failure {request.url} {request.failure}")

    def on_commit(self, frame: Frame) -> None:
        self.events.append(f"commit {frame.url}")

    def on_console(self, level: str, text: str) -> None:
        self.events.append(f"console {level} {text}")

    def on_exception(self, text: str) -> None:
        self.events.append(f"exception {text}")


class Play:
    """Delivers events to the frames and the network of a page."""

    def __init__(self, browser: Browser) -> None:
        self.connection = browser.connection
        self.session = browser.connection.session("page")
        self.noted = Noted()
        self.frames = Frames(self.session, "main", self._commit, lambda frame: self.network.removed(frame))
        self.network = Network(self.frames)
        self.network.observer = self.noted
        self.frames.watch(self.session)
        self.network.watch(self.session)

    def _commit(self, frame: Frame) -> None:
        self.network.committed(frame)
        self.noted.on_commit(frame)

    def __call__(self, method: str, **params: Any) -> None:
        self.session.deliver(method, params)

    def request(self, number: str, url: str, kind: str = "Image", loader: str = "L1", **more: Any) -> None:
        self(
            "Network.requestWillBeSent",
            **{
                "requestId": number,
                "loaderId": loader,
                "request": {"url": url},
                "type": kind,
                "frameId": "main",
                **more,
            },
        )

    def commit(self, url: str, loader: str, frame: str = "main", **more: Any) -> None:
        self("Page.frameNavigated", frame={"id": frame, "url": url, "loaderId": loader, **more})


def played(test: Callable[[Play], None]) -> list[str]:
    """Returns what the observer was told."""
    found: list[str] = []

    async def run(browser: Browser) -> None:
        play = Play(browser)
        test(play)
        found.extend(play.noted.events)

    with_browser(run)
    return found


def head(url: str, status: int = 200, **headers: str) -> dict[str, Any]:
    return {"url": url, "status": status, "headers": headers}


def test_redirect_is_a_response_an_end_and_another_request() -> None:
    def test(play: Play) -> None:
        play.request("L1", "http://a/", "Document")
        play.request("L1", "http://b/", "Document", redirectResponse=head("http://a/", 302))
        play("Network.responseReceived", requestId="L1", response=head("http://b/"))
        play("Network.loadingFinished", requestId="L1")

    assert played(test) == [
        "request document http://a/", "response 302 http://a/", "end http://a/",
        "request document http://b/", "response 200 http://b/", "end http://b/",
    ]  # fmt: skip


def test_requests_of_an_earlier_document_end_with_it() -> None:
    def test(play: Play) -> None:
        play.request("L1", "http://a/", "Document")
        play.commit("http://a/", "L1")
        play.request("1", "http://a/slow.css", "Stylesheet")
        play.request("L2", "http://a/next", "Document", "L2")
        play.commit("http://a/next", "L2")
        play("Network.loadingFinished", requestId="L2")
        assert play.network.idle() is False  # the first document's own request has not ended
        play("Network.loadingFinished", requestId="L1")
        assert play.network.idle()

    assert "failure http://a/slow.css net::ERR_ABORTED" in played(test)


def test_requests_of_a_removed_frame_end_with_it() -> None:
    def test(play: Play) -> None:
        play("Page.frameAttached", frameId="f", parentFrameId="main")
        play("Page.frameAttached", frameId="g", parentFrameId="f")
        play.request("1", "http://a/one", frameId="f")
        play.request("2", "http://a/two", frameId="g")
        play("Page.frameDetached", frameId="f", reason="swap")
        assert len(play.frames.others()) == 2
        play("Page.frameDetached", frameId="f", reason="remove")
        assert play.frames.others() == []
        assert play.network.idle()

    assert played(test)[2:] == [
        "failure http://a/one net::ERR_ABORTED", "failure http://a/two net::ERR_ABORTED",
    ]  # fmt: skip


def test_data_urls_and_unknown_requests_are_ignored() -> None:
    def test(play: Play) -> None:
        play.request("1", "data:text/plain,x")
        play("Network.loadingFinished", requestId="1")
        play("Network.loadingFailed", requestId="9", errorText="net::ERR_FAILED")
        play("Network.responseReceived", requestId="9", response=head("http://a/"))

    assert played(test) == []


def test_reason_of_a_blocked_request_is_its_failure() -> None:
    def test(play: Play) -> None:
        play.request("1", "http://a/x")
        play("Network.loadingFailed", requestId="1", errorText="", blockedReason="csp")

    assert played(test) == ["request image http://a/x", "failure http://a/x csp"]


def test_names_of_headers_are_in_lower_case() -> None:
    heads: list[Response] = []

    def test(play: Play) -> None:
        play.noted.on_response = heads.append  # type: ignore[method-assign]
        play.request("1", "http://a/x")
        play("Network.responseReceived", requestId="1", response=head("http://a/x", **{"Content-Type": "text/html"}))

    played(test)
    assert heads[0].headers == {"content-type": "text/html"}


def test_scripts_run_in_the_world_of_their_frame() -> None:
    async def test(browser: Browser) -> None:
        play = Play(browser)
        play("Page.frameAttached", frameId="f", parentFrameId="main")
        frame = play.frames.get("f")
        assert frame is not None
        with pytest.raises(Navigated):
            await frame.evaluate("() => 1")
        world = {"id": 7, "uniqueId": "u7", "auxData": {"frameId": "f", "isDefault": True}}
        play("Runtime.executionContextCreated", context=world)
        browser.commands()
        answer = asyncio.ensure_future(frame.evaluate("x => x", [1, "ü"]))
        await asyncio.sleep(0)
        [command] = browser.commands()
        assert command["params"]["uniqueContextId"] == "u7"
        assert command["params"]["expression"] == '(x => x)([1, "\\u00fc"])'
        browser.send(packed({"id": command["id"], "sessionId": "page", "result": {"result": {"value": 3}}}))
        assert await answer == 3
        assert play.frames.at(7) is frame
        play("Runtime.executionContextsCleared")
        assert (frame.context, play.frames.at(7)) == ("", None)

    with_browser(test)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"text": "Uncaught", "exception": {"description": "TypeError: x\n    at f (a.js:1)"}}, "TypeError: x"),
        ({"text": "Uncaught", "exception": {"value": "thrown"}}, "thrown"),
        ({"text": "Uncaught (in promise)"}, "Uncaught (in promise)"),
    ],
)
def test_exception_is_shown_without_its_stack(details: dict[str, Any], text: str) -> None:
    assert exception_text(details) == text
