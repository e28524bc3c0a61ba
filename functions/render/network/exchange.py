"""Passes on one plain http request and its response.

The connection to the browser stays open if the response's end is known from its framing, and the connection to the
server returns to the pool of its job under stricter rules (`session`). A server cannot put bytes into the answer to
another request: the browser gets the contents in a framing of the proxy's own (`framing`), bytes beyond them go
nowhere, and nothing of a server is written after its response has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.render.network.compressed import Body
from functions.render.network.framing import INVALID_CHUNK, Framing, UntilClose, framing
from functions.render.network.responses import Response, ResponseReader
from functions.render.network.session import ServerConnection, Session
from functions.render.network.wire import BadMessage, Request

if TYPE_CHECKING:
    from functions.render.network.browser_connection import BrowserConnection


class Exchange:
    """A request and its response."""

    def __init__(self, browser: BrowserConnection, session: Session, request: Request, rest: bytes) -> None:
        """Takes the bytes that came after the request's head."""
        self._browser = browser
        self._session = session
        self._request = request
        self._body = rest[: request.length]
        self._left = request.length - len(self._body)
        self._may_keep = request.may_keep and request.is_repeatable and not rest
        self._server: ServerConnection | None = None
        self._is_reused = False
        self._is_exact = False
        self._is_answered = False
        self._is_held = False
        self._reader: ResponseReader | None = None
        self._response: Response | None = None
        self._framing: Framing | None = None
        self._watched: Body | None = None

    def start(self) -> None:
        """Sends the request on a connection from the pool, or begins to open a new one."""
        endpoint = (self._request.host, self._request.port)
        server = self._session.take(endpoint) if self._request.is_repeatable else None
        if server is None:
            self._connect()
        else:
            self._is_reused = True
            self._send(server)

    def connected(self, server: ServerConnection) -> None:
        """Sends the request on a new connection."""
        if self._left:
            self._browser.hold(False)
        self._send(server)

    def from_browser(self, data: bytes) -> None:
        """Passes on as many bytes as the request announced, and drops further ones."""
        part = data[: self._left]
        self._left -= len(part)
        if len(part) < len(data):
            self._may_keep = False
        if part and self._server is not None:
            if self._session.ledger.moved(sent=len(part)):
                self._server.transport.write(part)
            else:
                self._cut()

    def from_server(self, data: bytes) -> None:
        """Passes on the next bytes of the response."""
        self._browser.moved()
        self._is_answered = True
        if self._framing is not None:
            self._pass(self._framing, b"", data)
            return
        response = self._read(data)
        if response is None:
            return
        if response.status == 408 and self._is_reused:  # the server gave the connection up before the request came
            self._leave_server()
            self._again()
        else:
            self._answer(response)

    def browser_closed(self) -> None:
        self._leave_server()

    def server_closed(self, error: Exception | None) -> None:
        """Ends the response, or sends the request again if the connection from the pool had ended before it."""
        if self._session.ledger.exceeded.done():
            self._browser.close()
        elif self._is_reused and not self._is_answered:
            self._again()
        elif self._framing is not None:
            self._break_off(is_whole=error is None)
        elif error is not None:
            self._refuse()
        else:
            response = self._read(b"")
            if response is not None:
                self._answer(response)
                self._break_off(is_whole=True)

    def fell_silent(self) -> None:
        self._break_off(is_whole=False)

    def hold(self, *, server: bool, held: bool) -> None:
        if self._server is not None and server:
            self._is_held = held
            self._server.hold(held)
        elif not server:
            self._browser.hold(held)

    def _connect(self) -> None:
        if self._left:
            self._browser.hold(True)  # the body waits in the browser
        self._browser.connect((self._request.host, self._request.port))

    def _again(self) -> None:
        """Sends the request once more, on a new connection, as browsers do."""
        self._is_reused = self._is_answered = False
        self._server = None
        self._connect()

    def _send(self, server: ServerConnection) -> None:
        self._server = server
        self._is_exact = not server.has_early_bytes
        self._reader = ResponseReader(self._request.port, self._request.method, keep=self._may_keep)
        message = self._request.head() + self._body
        if self._session.ledger.moved(sent=len(message)):
            server.begin(self, message)
        else:
            self._cut()

    def _read(self, data: bytes) -> Response | None:
        """Returns the response if its head is complete; refuses the request if it is not one for the browser."""
        assert self._reader is not None  # noqa: S101 - the request was sent
        try:
            return self._reader.feed(data)
        except BadMessage:
            self._refuse()
            return None

    def _answer(self, response: Response) -> None:
        self._response = response
        self._framing = framing(response)
        if response.has_body and response.coding in {"gzip", "deflate"}:
            self._watched = Body(response.coding)
        self._pass(self._framing, response.head, response.rest)

    def _pass(self, frame: Framing, head: bytes, data: bytes) -> None:
        try:
            content = frame.feed(data)
        except BadMessage:
            self._browser.transport.write(head + INVALID_CHUNK)
            self._cut()
            return
        if self._watched is not None:
            self._watched.feed(content)
            if frame.is_over and self._watched.is_cut:  # noted first, because the browser may close at the last byte
                self._session.ledger.broke_off(self._request.url)
        framed = frame.frame(content)
        if head or framed:
            self._browser.transport.write(head + framed)
        if frame.is_over:
            self._finish(frame)

    def _finish(self, frame: Framing) -> None:
        server, response = self._server, self._response
        assert server is not None  # noqa: S101 - the response has ended
        assert response is not None  # noqa: S101 - the response has ended
        if self._is_exact and response.is_exact and frame.is_exact and self._request.is_repeatable:
            if self._is_held:
                server.hold(False)
            self._server = None
            self._session.give_back(server)
        else:
            self._leave_server()
        if self._may_keep and response.keeps:
            self._browser.next()
        else:
            self._browser.close()

    def _break_off(self, *, is_whole: bool) -> None:
        """Ends a response whose framing does not say that it has ended."""
        if self._framing is None:
            self._refuse()
            return
        if self._framing.is_over:
            return
        if self._watched is not None and self._watched.is_cut:
            self._session.ledger.broke_off(self._request.url)
        self._leave_server()
        if isinstance(self._framing, UntilClose) and not is_whole:
            self._browser.reset()  # the browser would take a close for the end of the body
        else:
            self._browser.close()

    def _refuse(self) -> None:
        self._leave_server()
        self._browser.refuse(502, "http_response_incomplete")

    def _cut(self) -> None:
        self._leave_server()
        self._browser.close()

    def _leave_server(self) -> None:
        if self._server is not None:
            self._server.leave()
            self._server = None
