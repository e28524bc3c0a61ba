"""Attacks on connections that carry several requests, and their reuse, over real sockets without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from functions.render.network import session
from functions.render.network.ledger import Ledger
from functions.render.network.proxy import EgressProxy
from functions.render.network.session import IDLE_PER_ENDPOINT, ServerConnection
from urlshot.core.egress import Egress
from urlshot.core.render_contract import Limits
from urlshot.network.dial import dial_protocol

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


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    made = Net()
    yield made
    await made.close()


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


async def test_requests_share_a_connection_on_both_sides(net: Net) -> None:
    server = await net.server(polite)
    client = await net.start()
    for number in range(20):
        head, body = await client.ask(server.ask(f"/{number}"))
        assert body == b"/%d" % number
        assert b"Connection" not in head
    assert (len(server.visits), net.ledger.connections) == (1, 1)


async def test_two_origins_share_the_browsers_connection_only(net: Net) -> None:
    one, two = await net.server(polite), await net.server(polite)
    client = await net.start()
    for _ in range(3):
        assert (await client.ask(one.ask("/one")))[1] == b"/one"
        assert (await client.ask(two.ask("/two")))[1] == b"/two"
    assert (len(one.visits), len(two.visits), net.ledger.connections) == (1, 1, 2)


async def test_another_spelling_of_a_host_has_its_own_connection(net: Net) -> None:
    server = await net.server(polite)
    client = await net.start()
    await client.ask(server.ask("/a"))
    spelt = server.ask("/b").replace(b"127.0.0.1", b"[::ffff:127.0.0.1]")
    head, _ = await client.ask(spelt)
    assert head.startswith(b"HTTP/1.1 403 ")  # the rules are applied to it, although the server is the same
    assert b"Connection: close" in head


# What a server sends for the first request; the body that the browser gets.
DIRTY = {
    "one byte beyond the length": (OK + b"\n", b"ok"),
    "a second response in one packet": (OK + EVIL, b"ok"),
    "a second response after chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
        b"ok",
    ),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", b"ok"),
    "a body of a response without content": (b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, b""),
    "a body of a response that is not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL, b""),
    "a length of a response without content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n", b""),
    "equal lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "a length beside chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
    ),
    "an announced close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "hints first": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"ok"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
}


@pytest.mark.parametrize("case", DIRTY)
async def test_server_connection_that_is_not_clean_is_not_used_again(net: Net, case: str) -> None:
    sent, body = DIRTY[case]
    server = await net.server(always(sent, EVIL))
    other = await net.server(polite)
    client = await net.start()
    head, got = await client.ask(server.ask())
    assert got == body
    assert b"Connection" not in head
    assert (await client.ask(other.ask("/other")))[1] == b"/other"  # nothing of the first server comes here
    assert (await client.ask(server.ask()))[1] == body
    assert len(server.visits) == 2


async def test_head_response_with_a_length_has_no_body(net: Net) -> None:
    server = await net.server(always(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", OK))
    client = await net.start()
    head, _ = await client.ask(server.ask(method="HEAD"), is_head=True)
    assert b"Content-Length: 5\r\n" in head
    assert (await client.ask(server.ask()))[1] == b"ok"
    assert len(server.visits) == 1


async def test_body_of_a_head_response_reaches_nobody(net: Net) -> None:
    server = await net.server(always(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + EVIL, EVIL))
    other = await net.server(polite)
    client = await net.start()
    await client.ask(server.ask(method="HEAD"), is_head=True)
    assert (await client.ask(other.ask("/other")))[1] == b"/other"


async def test_unrequested_bytes_close_the_idle_connection(net: Net) -> None:
    async def later(visit: Visit) -> None:
        if visit.number:
            await polite(visit)
        else:
            await visit.answer(OK)
            await told.wait()
            visit.writer.write(EVIL)
            await visit.closed()
            dropped.set()

    told, dropped = asyncio.Event(), asyncio.Event()
    server = await net.server(later)
    client = await net.start()
    assert (await client.ask(server.ask("/a")))[1] == b"ok"
    told.set()
    await asyncio.wait_for(dropped.wait(), SECONDS)
    assert (await client.ask(server.ask("/b")))[1] == b"/b"
    assert len(server.visits) == 2


async def test_bytes_that_the_loop_has_not_read_yet_are_no_response(net: Net) -> None:
    server = await net.server(always(OK))
    client = await net.start()
    await client.ask(server.ask())
    client.writer.write(server.ask())
    # The write below reaches the proxy's socket before the proxy's loop runs again.
    server.visits[0].writer.write(EVIL)
    assert (await client._response(is_head=False))[1] == b"ok"
    assert len(server.visits) == 2


async def test_response_before_the_request_is_the_last_one(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    async def early(visit: Visit) -> None:
        visit.writer.write(OK)
        await visit.closed()

    async def dial_and_wait(*args: Any) -> ServerConnection:
        connection: ServerConnection = await dial_protocol(*args)
        async with asyncio.timeout(SECONDS):
            while not connection.has_early_bytes:
                await asyncio.sleep(0)
        return connection

    monkeypatch.setattr(session, "dial_protocol", dial_and_wait)
    server = await net.server(early)
    client = await net.start()
    for _ in range(2):
        assert (await client.ask(server.ask()))[1] == b"ok"
    assert len(server.visits) == 2


async def test_server_may_close_idle_connections(net: Net) -> None:
    async def once(visit: Visit) -> None:
        await visit.answer(OK)

    server = await net.server(once)
    client = await net.start()
    for _ in range(3):
        assert (await client.ask(server.ask()))[1] == b"ok"
    assert len(server.visits) == 3


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_request_on_a_connection_that_has_ended_is_repeated_once(net: Net, answer: bytes) -> None:
    async def leaves(visit: Visit) -> None:
        if visit.number == 0:
            await visit.answer(OK)
        await visit.answer(answer)  # the server takes the request, and closes

    server = await net.server(leaves)
    client = await net.start()
    assert (await client.ask(server.ask()))[1] == b"ok"
    head, _ = await client.ask(server.ask())
    assert head.startswith(b"HTTP/1.1 408 " if answer else b"HTTP/1.1 502 ")
    assert len(server.visits) == 2


async def test_response_that_has_begun_is_not_repeated(net: Net) -> None:
    async def leaves(visit: Visit) -> None:
        await visit.answer(OK)
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha")

    server = await net.server(leaves)
    client = await net.start()
    await client.ask(server.ask())
    client.writer.write(server.ask())
    assert (await client.end()).endswith(b"\r\n\r\nha")
    assert len(server.visits) == 1


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_other_methods_have_connections_of_their_own(net: Net, method: str) -> None:
    async def shows(visit: Visit) -> None:
        heads.append(await visit.request())
        visit.writer.write(OK)
        await visit.closed()

    heads: list[bytes] = []
    server = await net.server(shows)
    client = await net.start()
    await client.ask(server.ask())
    lines = ["Content-Length: 4"] if method == "POST" else []
    head, body = await client.ask(server.ask("/", *lines, method=method) + b"body" * bool(lines))
    assert (b"Connection: close\r\n" in head, body) == (True, b"ok")
    assert await client.end() == b""
    assert [b"Connection: close\r\n" in head for head in heads] == [False, True]


@pytest.mark.parametrize("apart", [False, True])
async def test_pipelined_request_is_never_passed_on(net: Net, apart: bool) -> None:
    async def slow(visit: Visit) -> None:
        heads.append(await visit.request())
        asked.set()
        await told.wait()
        visit.writer.write(OK)
        heads.append(await visit.closed())

    heads: list[bytes] = []
    asked, told = asyncio.Event(), asyncio.Event()
    server = await net.server(slow)
    client = await net.start()
    client.writer.write(server.ask("/first") + (b"" if apart else server.ask("/second")))
    await asyncio.wait_for(asked.wait(), SECONDS)
    if apart:
        client.writer.write(server.ask("/second"))
        await client.writer.drain()
    told.set()
    assert (await client.end()).endswith(b"\r\n\r\nok")
    assert len(server.visits) == 1
    await net.proxy.end()
    assert not any(b"second" in head for head in heads)


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", b""])
async def test_bad_chunk_ends_the_connection_with_an_invalid_chunk(net: Net, first: bytes) -> None:
    async def bad(visit: Visit) -> None:
        head = b"" if first else b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        if first:
            await visit.answer(first)
            await visit.writer.drain()
            await read.wait()
            visit.writer.write(b"zz\r\n" + EVIL)
        else:
            await visit.answer(head + b"zz\r\n" + EVIL)
        await visit.closed()

    read = asyncio.Event()
    server = await net.server(bad)
    client = await net.start()
    client.writer.write(server.ask())
    await client.reader.readuntil(b"ok\r\n" if first else b"\r\n\r\n")
    read.set()
    assert await client.end() == b"invalid\r\n"


async def test_body_that_ends_with_the_connection_is_reset_if_it_breaks_off(net: Net) -> None:
    async def breaks(visit: Visit) -> None:
        await visit.answer(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        await read.wait()
        if visit.number:
            visit.writer.transport.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER
            visit.writer.transport.abort()

    read = asyncio.Event()
    server = await net.server(breaks)
    client = await net.start()
    for number in range(2):
        read.clear()
        client = await net.client()
        client.writer.write(server.ask())
        await asyncio.wait_for(client.reader.readuntil(b"half of it"), SECONDS)
        read.set()
        if number == 0:
            assert await asyncio.wait_for(client.reader.read(-1), SECONDS) == b""
        else:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(client.reader.read(-1), SECONDS)


@pytest.mark.parametrize("chunked", [False, True])
async def test_cut_body_is_noted_on_a_kept_connection(net: Net, chunked: bool) -> None:
    half = gzip.compress(bytes(range(256)) * 9)[:-40]
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(half)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(half), half) if chunked else half
    server = await net.server(
        always(OK, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n%b\r\n\r\n%b" % (framing, body))
    )
    client = await net.start()
    await client.ask(server.ask("/whole"))
    assert net.ledger.cut == set()
    assert (await client.ask(server.ask("/cut")))[1] == half
    assert net.ledger.cut == {f"http://127.0.0.1:{server.port}/cut"}
    assert len(server.visits) == 1


async def test_connection_limit_counts_requests_on_kept_connections(net: Net) -> None:
    one, two = await net.server(polite), await net.server(polite)
    client = await net.start(Limits(connections=4))
    for _ in range(2):
        await client.ask(one.ask("/"))
        await client.ask(two.ask("/"))
    assert not net.ledger.exceeded.done()
    assert (await client.ask(one.ask("/")))[0].startswith(b"HTTP/1.1 403 ")
    assert net.ledger.exceeded.result().code == "too_large"
    assert net.ledger.connections == 2
    other = await net.client()  # the job is over: a connection from the pool does not help
    assert (await other.ask(one.ask("/")))[0].startswith(b"HTTP/1.1 403 ")


async def test_byte_limit_counts_over_kept_connections(net: Net) -> None:
    async def big(visit: Visit) -> None:
        while await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + bytes(50_000)):
            pass

    server = await net.server(big)
    client = await net.start(Limits(page_bytes=120_000))
    for _ in range(2):
        assert len((await client.ask(server.ask()))[1]) == 50_000
    client.writer.write(server.ask())
    assert len(await client.end()) < 50_000
    assert net.ledger.exceeded.result().code == "too_large"


async def test_end_of_a_job_cuts_kept_connections(net: Net) -> None:
    server = await net.server(polite)
    client = await net.start()
    await client.ask(server.ask("/a"))
    await net.proxy.end()
    assert await client.end() == b""
    assert await server.visits[0].closed() == b""


async def test_jobs_share_no_connection(net: Net) -> None:
    server = await net.server(polite)
    client = await net.start()
    await client.ask(server.ask("/a"))
    await net.proxy.end()
    net.begin()
    other = await net.client()
    assert (await other.ask(server.ask("/b")))[1] == b"/b"
    assert (len(server.visits), net.ledger.connections) == (2, 1)
    with contextlib.suppress(ConnectionError):
        client.writer.write(server.ask("/c"))
    assert await client.end() == b""


async def test_pool_has_few_unused_connections_to_a_server(net: Net) -> None:
    async def together(visit: Visit) -> None:
        await visit.request()
        if len(server.visits) == count:
            all_there.set()
        await all_there.wait()
        visit.writer.write(OK)
        await visit.closed()
        left.release()

    count = IDLE_PER_ENDPOINT + 3
    all_there, left = asyncio.Event(), asyncio.Semaphore(0)
    server = await net.server(together)
    clients = [await net.start(), *[await net.client() for _ in range(count - 1)]]
    await asyncio.gather(*(client.ask(server.ask()) for client in clients))
    for _ in range(3):
        await asyncio.wait_for(left.acquire(), SECONDS)
    assert left.locked()
    await net.proxy.end()


@pytest.mark.parametrize("tunnel", [False, True])
async def test_slow_browser_slows_the_server(net: Net, tunnel: bool) -> None:
    size = 50_000_000

    async def big(visit: Visit) -> None:
        if not tunnel:
            await visit.request()
            visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            visit.writer.write(bytes(100_000))
            await visit.writer.drain()
        sent.set()

    sent = asyncio.Event()
    server = await net.server(big)
    client = await net.start()
    client.writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode() if tunnel else server.ask())
    await client.reader.readuntil(b"\r\n\r\n")
    with pytest.raises(TimeoutError):  # the browser reads no further
        await asyncio.wait_for(sent.wait(), 0.5)
    assert net.ledger.received < size / 2
    assert len(await asyncio.wait_for(client.reader.readexactly(size), SECONDS)) == size


async def test_slow_server_slows_the_browser(net: Net) -> None:
    size = 50_000_000

    async def sink(visit: Visit) -> None:
        await visit.request()
        await told.wait()
        await visit.reader.readexactly(size)
        visit.writer.write(OK)

    told = asyncio.Event()
    server = await net.server(sink)
    client = await net.start()
    client.writer.write(server.ask("/", f"Content-Length: {size}", method="POST"))
    client.writer.write(bytes(size))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.writer.drain(), 0.5)
    assert net.ledger.sent < size / 2
    told.set()
    assert (await asyncio.wait_for(client.end(), SECONDS)).endswith(b"\r\n\r\nok")
    assert net.ledger.sent > size


async def test_browser_that_leaves_ends_the_connection_to_the_server(net: Net) -> None:
    async def slow(visit: Visit) -> None:
        await visit.request()
        asked.set()
        await visit.closed()
        left.set()

    asked, left = asyncio.Event(), asyncio.Event()
    server = await net.server(slow)
    client = await net.start()
    client.writer.write(server.ask())
    await asyncio.wait_for(asked.wait(), SECONDS)
    client.writer.close()
    await asyncio.wait_for(left.wait(), SECONDS)


@pytest.mark.parametrize("tunnel", [False, True])
async def test_silent_connection_ends(net: Net, monkeypatch: pytest.MonkeyPatch, tunnel: bool) -> None:
    monkeypatch.setattr("functions.render.network.browser_connection.HEAD_SECONDS", 0.1)
    monkeypatch.setattr("functions.render.network.browser_connection.IDLE_SECONDS", 0.1)
    server = await net.server(always(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", b""))
    client = await net.start()
    assert await client.end() == b""  # no request
    client = await net.client()
    client.writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n\r\n".encode() if tunnel else server.ask())
    assert (await client.end()).endswith(b"\r\n\r\n" if tunnel else b"\r\n\r\no")
