"""The connections of one job, and its pool of connections to servers.

A connection to a server carries several requests if that is safe. It enters the pool after a request without a body
whose response was read alike by all parsers, did not announce the end of the connection, and brought not one byte more
than its body (`responses`, `framing`). The pool is keyed by host and port exactly as they were requested. The egress
rules of a job do not change, and the address was checked when it was dialled, so they hold for each further request.
A connection in the pool that becomes readable is closed: it brings its end, or bytes that answer no request.
"""

from __future__ import annotations

import asyncio
import select
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Protocol

from functions.render.network.ledger import Endpoint, Ledger
from urlshot.core.egress import Egress
from urlshot.network.dial import Resolver, dial_protocol

IDLE_PER_ENDPOINT = 6
"""Most unused connections to one host and port; Chromium uses as many at once (client_socket_pool_manager.cc)."""
IDLE = 64
"""Most unused connections of a job."""


class Work(Protocol):
    """The use of a connection between the browser and a server: an exchange or a tunnel."""

    def start(self) -> None:
        """Begins; the browser's request was read."""

    def connected(self, server: ServerConnection) -> None:
        """There is a new connection to the server."""

    def from_browser(self, data: bytes) -> None:
        """The browser has sent bytes."""

    def from_server(self, data: bytes) -> None:
        """The server has sent bytes."""

    def browser_closed(self) -> None:
        """The browser has closed its connection."""

    def server_closed(self, error: Exception | None, /) -> None:
        """The server has closed its connection, or the job has too many bytes."""

    def fell_silent(self) -> None:
        """There were no bytes for too long."""

    def hold(self, *, server: bool, held: bool) -> None:
        """Stops to read from one side, or reads on, because the other side takes bytes more slowly."""


class ServerConnection(asyncio.Protocol):
    """One connection to a server. Nobody uses it while `work` is None."""

    transport: asyncio.Transport

    def __init__(self, session: Session, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.work: Work | None = None
        self.is_idle = False
        """Whether the connection is in the pool."""
        self._session = session
        self._early = b""
        self._is_closed = False
        self._poll = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a TCP connection
        self.transport = transport
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._session.opened.add(transport)

    @property
    def has_early_bytes(self) -> bool:
        """Whether the server has sent bytes before anybody used the connection."""
        return bool(self._early)

    def begin(self, work: Work, message: bytes = b"") -> None:
        """Sends a message; passes all bytes and the end of the connection on to `work` from now on."""
        self.work = work
        if message:
            self.transport.write(message)
        early, self._early = self._early, b""
        if early:
            self.transport.resume_reading()
            work.from_server(early)
        if self._is_closed:
            self._lost(None)

    def leave(self) -> None:
        """Closes the connection at once; its work has no more use for it."""
        self.work = None
        self.transport.abort()

    def hold(self, held: bool) -> None:
        """Stops to read, or reads on."""
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def has_bytes(self) -> bool:
        """Returns whether the connection has ended or has bytes that the loop has not read yet."""
        return self.transport.is_closing() or bool(self._poll.poll(0))

    def data_received(self, data: bytes) -> None:
        within = self._session.ledger.moved(received=len(data))
        if self.work is not None and within:
            self.work.from_server(data)
        elif self.work is not None or self.is_idle or not within:  # too many bytes, or bytes that answer no request
            self.transport.abort()
            self._lost(None)
        else:
            self._early = data
            self.transport.pause_reading()

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._session.opened.discard(self.transport)
        self._lost(error)

    def pause_writing(self) -> None:
        if self.work is not None:
            self.work.hold(server=False, held=True)

    def resume_writing(self) -> None:
        if self.work is not None:
            self.work.hold(server=False, held=False)

    def _lost(self, error: Exception | None) -> None:
        self._is_closed = True
        self._session.forget(self)
        work, self.work = self.work, None
        if work is not None:
            work.server_closed(error)


class Session:
    """The connections of one job, to the browser and to servers; all end with the job."""

    def __init__(self, ledger: Ledger, egress: Egress, resolver: Resolver) -> None:
        self.ledger = ledger
        self.opened: set[asyncio.Transport] = set()
        """The transports of all connections."""
        self.is_over = False
        self._egress = egress
        self._resolver = resolver
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: defaultdict[Endpoint, list[ServerConnection]] = defaultdict(list)
        self._by_age: dict[ServerConnection, None] = {}

    async def connect(self, endpoint: Endpoint) -> ServerConnection:
        """Opens a connection to a server.

        Raises:
            Unreachable: The egress rules refuse the host, or it cannot be reached.
        """
        return await dial_protocol(*endpoint, self._egress, self._resolver, lambda: ServerConnection(self, endpoint))

    def take(self, endpoint: Endpoint) -> ServerConnection | None:
        """Takes an unused connection to a server out of the pool, if there is one."""
        while found := self._idle.get(endpoint):
            connection = found[-1]
            self.forget(connection)
            if not connection.has_bytes():
                return connection
            connection.transport.abort()
        return None

    def give_back(self, connection: ServerConnection) -> None:
        """Puts a connection into the pool; closes the oldest one if there are too many."""
        connection.work = None
        if connection.has_bytes() or len(self._idle[connection.endpoint]) >= IDLE_PER_ENDPOINT:
            connection.transport.abort()
            return
        connection.is_idle = True
        self._idle[connection.endpoint].append(connection)
        self._by_age[connection] = None
        if len(self._by_age) > IDLE:
            oldest = next(iter(self._by_age))
            self.forget(oldest)
            oldest.transport.abort()

    def forget(self, connection: ServerConnection) -> None:
        """Takes a connection out of the pool, if it is there."""
        if connection.is_idle:
            connection.is_idle = False
            self._idle[connection.endpoint].remove(connection)
            del self._by_age[connection]

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs work that ends with the job at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """Cuts all connections."""
        self.is_over = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for transport in list(self.opened):
            transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in list(self.opened):  # a task may have opened a connection before it was cancelled
            transport.abort()
        for _ in range(10):  # the loop reports each closed connection in its next round
            if not self.opened:
                break
            await asyncio.sleep(0)
