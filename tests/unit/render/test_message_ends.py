"""Attacks on the ends of messages: no byte of a server becomes part of the answer to another request."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from functions.render.network import session
from functions.render.network.session import ServerConnection
from tests.unit.render.net import EVIL, OK, SECONDS, Net, Visit, always, polite
from urlshot.network.dial import dial_protocol


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
