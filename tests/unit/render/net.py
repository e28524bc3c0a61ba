"""A proxy with scripted servers and connections of a browser, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from functions.render.network.ledger import Ledger
from functions.render.network.proxy import EgressProxy
from urlshot.core.egress import Egress
from urlshot.core.render_contract import Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
SECONDS = 30
"""Longest wait for anything; a busy machine is slow."""

Serve = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One connection to a test server. `number` counts the server's connections from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Returns the next request's head; empty if the proxy has closed the connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            return await self.reader.readuntil(b"\r\n\r\n")
        return b""

    async def answer(self, data: bytes) -> bool:
        """Waits for a request and answers it; returns whether there was one."""
        if not await self.request():
            return False
        self.writer.write(data)
        return True

    async def closed(self) -> bytes:
        """Waits until the proxy has closed the connection; returns the bytes before that."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(-1), SECONDS)
        return b""


class Server:
    """A server that does what a test says on each of its connections."""

    def __init__(self, serve: Serve) -> None:
        self.visits: list[Visit] = []
        self._serve = serve

    async def start(self) -> Server:
        self._server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(len(self.visits), reader, writer)
        self.visits.append(visit)
        with contextlib.suppress(ConnectionError):
            await self._serve(visit)
        writer.close()

    def close(self) -> None:
        self._server.close()

    def ask(self, path: str = "/", *lines: str, method: str = "GET") -> bytes:
        """Returns a request to this server."""
        head = [f"{method} http://127.0.0.1:{self.port}{path} HTTP/1.1", "Proxy-Connection: keep-alive", *lines]
        return "".join(f"{line}\r\n" for line in (*head, "")).encode()


class Client:
    """A connection of the browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes, *, is_head: bool = False) -> tuple[bytes, bytes]:
        """Sends a request; returns the head of the response and its body, by the framing that the head announces."""
        self.writer.write(request)
        return await asyncio.wait_for(self._response(is_head=is_head), SECONDS)

    async def _response(self, *, is_head: bool) -> tuple[bytes, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if is_head or head[9:12] in {b"204", b"304"}:
            return head, b""
        if b"transfer-encoding: chunked" in lines:
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"
            return head, body
        lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
        return head, await self.reader.readexactly(lengths[0]) if lengths else await self.reader.read(-1)

    async def end(self) -> bytes:
        """Returns all bytes until the proxy closes."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(-1), SECONDS)
        return b""


class Net:
    """A proxy with a job, some servers, and connections of the browser."""

    def __init__(self) -> None:
        self._servers: list[Server] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def server(self, serve: Serve) -> Server:
        self._servers.append(await Server(serve).start())
        return self._servers[-1]

    async def start(self, limits: Limits | None = None) -> Client:
        """Starts the proxy for all servers, and a job; returns a connection."""
        self.proxy = EgressProxy(Egress.of(",".join(f"127.0.0.1:{server.port}" for server in self._servers)))
        self._port = int((await self.proxy.start()).rpartition(":")[2])
        self.begin(limits)
        return await self.client()

    def begin(self, limits: Limits | None = None) -> None:
        self.ledger = Ledger(limits or Limits())
        self.proxy.begin(self.ledger)

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return Client(reader, writer)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await self.proxy.close()
        for server in self._servers:
            server.close()


async def polite(visit: Visit) -> None:
    """Answers each request with its path."""
    while head := await visit.request():
        path = head.split(b" ")[1]
        visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


def always(*answers: bytes) -> Serve:
    """Returns a server that gives these answers on each connection, and then waits for its end."""

    async def serve(visit: Visit) -> None:
        for answer in answers:
            await visit.answer(answer)
        await visit.closed()

    return serve
