"""One connection of the browser: reads its requests, one after the other, and begins the work that each asks for.

The browser sends several plain http requests on a connection, for any servers, if the proxy knows where each response
ends (`exchange`). A request is read only after the response before it was written in full. Bytes that arrive earlier
are dropped, and the connection ends after the response, so that no byte can be taken for a part of another request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from functions.render.network.exchange import Exchange
from functions.render.network.ledger import Endpoint
from functions.render.network.session import Session, Work
from functions.render.network.tunnel import Tunnel
from functions.render.network.wire import MAX_HEAD, BadMessage, parse_request, refusal
from urlshot.network.dial import Unreachable

HEAD_SECONDS = 10.0
"""Longest wait for the browser's first request."""
IDLE_SECONDS = 60.0
"""Longest silence on a connection, in both directions together."""

_RESET = struct.pack("ii", 1, 0)
"""The socket option that turns a close into a reset (socket(7), SO_LINGER)."""

# Proxy-Status error types (RFC 9209, section 2.3) for our codes.
_ERROR_TYPES = {
    "blocked_target": "destination_ip_prohibited",
    "name_not_found": "dns_error",
    "connection_refused": "connection_refused",
    "connection_failed": "destination_unavailable",
}


class BrowserConnection(asyncio.Protocol):
    """A connection from the browser."""

    transport: asyncio.Transport

    def __init__(self, session: Session | None) -> None:
        """Takes the current job's session; without one, the connection is closed at once."""
        self.session = session
        self._loop = asyncio.get_running_loop()
        self._work: Work | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._head = b""
        self._is_closed = False
        self._deadline = self._loop.time() + HEAD_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a TCP connection
        self.transport = transport
        if self.session is None or self.session.is_over:
            transport.abort()
            return
        self.session.opened.add(transport)
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def data_received(self, data: bytes) -> None:
        if self._is_closed:
            return
        if self._work is not None:
            self.moved()
            self._work.from_browser(data)
            return
        seen = max(0, len(self._head) - 3)
        self._head = self._head + data if self._head else data
        end = self._head.find(b"\r\n\r\n", seen) + 4
        if end >= 4:
            head, self._head = self._head, b""
            self._begin(head[:end], head[end:])
        elif len(self._head) > MAX_HEAD:
            self.close()

    def eof_received(self) -> None:
        self._lost()

    def connection_lost(self, _: Exception | None) -> None:
        if self.session is not None:
            self.session.opened.discard(self.transport)
        if self._timer is not None:
            self._timer.cancel()
        self._lost()

    def pause_writing(self) -> None:
        if self._work is not None:
            self._work.hold(server=True, held=True)

    def resume_writing(self) -> None:
        if self._work is not None:
            self._work.hold(server=True, held=False)

    def moved(self) -> None:
        """Notes that bytes have moved in one of the directions."""
        self._deadline = self._loop.time() + IDLE_SECONDS

    def connect(self, endpoint: Endpoint) -> None:
        """Opens a connection to a server for the current work; refuses the request if that fails."""
        assert self.session is not None  # noqa: S101 - there is work, so there is a session
        if self.session.is_over:
            self.close()
        else:
            self.session.ledger.connection()
            self._dialling = self.session.run(self._connect(self.session, endpoint))

    def refuse(self, status: int, reason: str) -> None:
        """Answers the request with an error of the proxy, and closes the connection."""
        self.transport.write(refusal(status, reason))
        self.close()

    def close(self) -> None:
        """Closes the connection after the browser got all bytes that were written."""
        self._is_closed = True
        self._work = None
        self.transport.close()

    def reset(self) -> None:
        """Resets the connection, so that the browser sees that the response has broken off."""
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._is_closed = True
        self._work = None
        self.transport.abort()

    def hold(self, held: bool) -> None:
        """Stops to read from the browser, or reads on."""
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def next(self) -> None:
        """Reads the next request; the response to the one before has been written in full."""
        self._work = None
        self.moved()

    def _begin(self, head: bytes, rest: bytes) -> None:
        assert self.session is not None  # noqa: S101 - a connection without a session is closed
        try:
            request = parse_request(head)
        except BadMessage as error:
            self.refuse(error.status, "http_request_error")
            return
        if not self.session.ledger.request():
            self.refuse(403, "connection_limit_reached")
            return
        self.moved()
        self._work = (Tunnel if request.is_tunnel else Exchange)(self, self.session, request, rest)
        self._work.start()

    async def _connect(self, session: Session, endpoint: Endpoint) -> None:
        work = self._work
        try:
            server = await session.connect(endpoint)
        except Unreachable as error:
            session.ledger.failed(endpoint, error.failure)
            status = 403 if error.failure.code == "blocked_target" else 502
            if not self._is_closed:
                self.refuse(status, _ERROR_TYPES.get(error.failure.code, "destination_unavailable"))
            return
        self._dialling = None
        if work is None or self._work is not work:
            server.transport.abort()
            return
        self.moved()
        work.connected(server)

    def _lost(self) -> None:
        self._is_closed = True
        work, self._work = self._work, None
        if self._dialling is not None:
            self._dialling.cancel()
        if work is not None:
            work.browser_closed()

    def _tick(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._tick)
        elif self._work is not None:
            self._work.fell_silent()
        else:
            self._is_closed = True
            self.transport.abort()
