"""Tests the proxy over real sockets, without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from functions.render.network.ledger import Ledger
from functions.render.network.proxy import EgressProxy
from urlshot.core.egress import Egress
from urlshot.core.render_contract import Limits

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def server() -> AsyncIterator[Callable[[Serve], Awaitable[int]]]:
    servers: list[asyncio.Server] = []

    async def start(serve: Serve) -> int:
        started = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(started)
        return int(started.sockets[0].getsockname()[1])

    yield start
    for started in servers:
        started.close()


async def ask(proxy: str, request: bytes) -> bytes:
    """Sends bytes to the proxy; returns all bytes that it sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.rpartition(":")[2]))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(-1), 30)
    writer.close()
    return answer


async def proxied(port: int, limits: Limits | None = None) -> tuple[EgressProxy, str, Ledger]:
    proxy = EgressProxy(Egress.of(f"127.0.0.1:{port}"))
    address = await proxy.start()
    ledger = Ledger(limits or Limits())
    proxy.begin(ledger)
    return proxy, address, ledger


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the request that it received, and keeps the connection open against `Connection: close`."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
    got = head + await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(got) + got)
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()


async def test_request_passes_once_and_smuggles_no_other(server: Callable[[Serve], Awaitable[int]]) -> None:
    port = await server(echo)
    proxy, address, ledger = await proxied(port)
    first = f"POST http://127.0.0.1:{port}/a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody".encode()
    second = f"GET http://127.0.0.1:{port}/smuggled HTTP/1.1\r\n\r\n".encode()
    answer = await ask(address, first + second)
    assert b"Connection: close" in answer.partition(b"\r\n\r\n")[0]
    assert answer.endswith(b"\r\n\r\nbody")
    assert b"smuggled" not in answer
    assert ledger.summary()["connections"] == 1
    assert ledger.sent > 0
    assert ledger.received > 0
    await proxy.close()


async def test_tunnel_passes_bytes_both_ways(server: Callable[[Serve], Awaitable[int]]) -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        writer.close()

    port = await server(upper)
    proxy, address, ledger = await proxied(port)
    answer = await ask(address, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nhello".encode())
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\nHELLO"
    assert (ledger.sent, ledger.received) == (5, 5)
    await proxy.close()


async def test_refusals_give_the_reason_and_are_counted(server: Callable[[Serve], Awaitable[int]]) -> None:
    proxy, address, ledger = await proxied(1)
    answer = await ask(address, b"CONNECT 127.0.0.1:2 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"error=destination_ip_prohibited" in answer
    assert ledger.failures["127.0.0.1", 2].code == "blocked_target"
    assert (await ask(address, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
    assert ledger.failures["127.0.0.1", 1].code == "connection_refused"
    assert (await ask(address, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert ledger.summary()["refused"] == 1
    await proxy.close()


async def test_proxy_without_a_job_passes_nothing(server: Callable[[Serve], Awaitable[int]]) -> None:
    asked: list[None] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(None)
        writer.close()

    port = await server(count)
    proxy, address, _ = await proxied(port)
    await proxy.end()
    with contextlib.suppress(ConnectionResetError):
        assert await ask(address, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()) == b""
    assert asked == []
    await proxy.close()


async def test_end_of_a_job_cuts_its_connections(server: Callable[[Serve], Awaitable[int]]) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    port = await server(silent)
    proxy, address, _ = await proxied(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await proxy.end()
    assert await asyncio.wait_for(reader.read(-1), 30) == b""
    writer.close()
    await proxy.close()


async def test_too_many_bytes_or_connections_end_the_job(server: Callable[[Serve], Awaitable[int]]) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(bytes(50_000))
                await writer.drain()
        except OSError:
            writer.close()

    port = await server(endless)
    proxy, address, ledger = await proxied(port, Limits(page_bytes=200_000))
    assert len(await ask(address, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())) < 300_000
    assert ledger.exceeded.result().code == "too_large"
    await proxy.close()

    proxy, address, ledger = await proxied(port, Limits(connections=1))
    for _ in range(2):
        assert not ledger.exceeded.done()
        answer = await ask(address, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert ledger.exceeded.result().code == "too_large"
    await proxy.close()


@pytest.mark.parametrize(
    "response",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 270_000],
)
async def test_server_that_does_not_speak_http_is_a_bad_gateway(
    server: Callable[[Serve], Awaitable[int]], response: bytes
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    port = await server(answer)
    proxy, address, _ = await proxied(port)
    assert (await ask(address, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())).startswith(b"HTTP/1.1 502 ")
    await proxy.close()


async def test_informational_responses_are_dropped(server: Callable[[Serve], Awaitable[int]]) -> None:
    async def hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    port = await server(hints)
    proxy, address, _ = await proxied(port)
    answer = await ask(address, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    await proxy.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_cut_body_is_noted_before_the_browser_has_all_of_it(
    server: Callable[[Serve], Awaitable[int]], chunked: bool
) -> None:
    half = gzip.compress(bytes(range(256)) * 9)[:-40]
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(half)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(half), half) if chunked else half

    async def stay_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n%s\r\n\r\n%s" % (framing, body))
        await reader.read(-1)  # until the proxy closes
        writer.close()

    port = await server(stay_open)
    proxy, address, ledger = await proxied(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(f"GET http://127.0.0.1:{port}/style.css HTTP/1.1\r\n\r\n".encode())
    await asyncio.wait_for(reader.readuntil(body), 30)
    assert ledger.cut == {f"http://127.0.0.1:{port}/style.css"}
    writer.close()
    await proxy.close()
