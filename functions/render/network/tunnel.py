"""Passes the bytes of a CONNECT tunnel both ways, for https and WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.render.network.session import ServerConnection, Session
from functions.render.network.wire import Request

if TYPE_CHECKING:
    from functions.render.network.browser_connection import BrowserConnection


class Tunnel:
    """A tunnel; it ends when one side closes, because browsers never close one direction only, or both are silent."""

    def __init__(self, browser: BrowserConnection, session: Session, request: Request, rest: bytes) -> None:
        """Takes the bytes that came after the request."""
        self._browser = browser
        self._session = session
        self._endpoint = (request.host, request.port)
        self._rest = rest
        self._server: ServerConnection | None = None

    def start(self) -> None:
        """Begins to connect to the server."""
        self._browser.hold(True)  # the server's connection sets the pace
        self._browser.connect(self._endpoint)

    def connected(self, server: ServerConnection) -> None:
        """Tells the browser, and passes on bytes from now on."""
        self._server = server
        self._browser.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._browser.hold(False)
        server.begin(self)
        if self._rest:
            self.from_browser(self._rest)

    def from_browser(self, data: bytes) -> None:
        if self._server is None:
            return
        if self._session.ledger.moved(sent=len(data)):
            self._server.transport.write(data)
        else:
            self._end()

    def from_server(self, data: bytes) -> None:
        self._browser.moved()
        self._browser.transport.write(data)

    def browser_closed(self) -> None:
        if self._server is not None:
            self._server.work = None
            self._server.transport.close()

    def server_closed(self, _: Exception | None) -> None:
        self._browser.close()

    def fell_silent(self) -> None:
        self._end()

    def hold(self, *, server: bool, held: bool) -> None:
        if self._server is not None:
            (self._server if server else self._browser).hold(held)

    def _end(self) -> None:
        self.browser_closed()
        self._browser.close()
