"""Tests that connections carry several plain http requests, and when they end."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from functions.render.network.session import IDLE_PER_ENDPOINT
from tests.unit.render.net import OK, SECONDS, Net, Visit, always, polite
from urlshot.core.render_contract import Limits


async def test_requests_share_a_connection_on_both_sides(net: Net) -> None:
    server = await net.server(polite)
    client = await net.start()
    for number in range(20):
        head, body = await client.ask(server.ask(f"/{number}"))
        assert body == b"/%d" % number
        assert b"Connection" not in head
    assert (len(server.visits), net.ledger.connections) == (1, 1)


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
    assert await asyncio.wait_for(left.wait(), SECONDS)


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
