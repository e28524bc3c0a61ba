"""The proxies forward everything unchanged, and inject each fault once into what it is meant for."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from tests.faults import http_proxy, tcp_proxy
from tests.faults.armory import BURST, Armory
from tests.faults.http_proxy import HttpProxy
from tests.faults.stages import Request
from tests.faults.tcp_proxy import TcpProxy

RECORD = json.dumps({"state": "running"}).encode()


async def nobody(_port: int) -> None:
    return None


class Service:
    """A service behind an HTTP proxy, which counts its requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.seen: list[tuple[str, int]] = []
        self.armory = Armory()

    async def start(self) -> None:
        async def serve(request: web.Request) -> web.Response:
            self.requests.append((request.method, await request.read()))
            return web.Response(body=b"answer " * 100, headers={"ETag": '"1"'})

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        port = self.runner.addresses[0][1]
        self.proxy = HttpProxy(f"http://127.0.0.1:{port}", self.armory, self.note, nobody)
        await self.proxy.start()
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.proxy.port}")

    def note(self, request: Request, status: int) -> None:
        self.seen.append((request.method, status))

    async def put(self) -> tuple[int, bytes]:
        """Sends one request over a new connection; aiohttp would repeat it if the connection breaks."""

        def send() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
            try:
                connection.request("PUT", "/bucket/job/1.json", RECORD)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return await asyncio.to_thread(send)

    async def close(self) -> None:
        await self.session.close()
        await self.proxy.close()
        await self.runner.cleanup()


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(http_proxy, "FREEZE_SECONDS", 0.2)
    service = Service()
    await service.start()
    yield service
    await service.close()


async def test_http_proxy_forwards_unchanged(service: Service) -> None:
    assert await service.put() == (200, b"answer " * 100)
    async with service.session.head("/bucket/pdf/1.pdf") as answer:
        assert (answer.status, answer.headers["Content-Length"], answer.headers["ETag"]) == (200, "700", '"1"')
    async with service.session.put("/bucket/job/2.json", data=RECORD, expect100=True) as answer:
        assert answer.status == 200
    assert [method for method, _ in service.requests] == ["PUT", "HEAD", "PUT"]
    assert service.seen == [("PUT", 200), ("HEAD", 200), ("PUT", 200)]


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        ("500", 500, 0),
        ("503 slow down", 503, 0),
        ("403", 403, 0),
        ("hang", None, 0),
        ("late", None, 1),
        ("cut before", None, 0),
        ("cut half", None, 1),
        ("cut after", None, 1),
        ("killed before", None, 0),
        ("killed after", None, 1),
        ("frozen before", 200, 1),
        ("frozen after", 200, 1),
    ],
)
async def test_http_fault_hits_one_request(service: Service, fault: str, status: int | None, done: int) -> None:
    """`status` is that of the answer, None if the connection breaks; `done` says whether the service did the work."""
    armed = service.armory.arm("claimed", fault)
    try:
        got: int | None = (await service.put())[0]
    except (http.client.HTTPException, OSError):
        got = None
    assert (got, len(service.requests), len(service.seen)) == (status, done, done)
    assert armed.over and [one.fault for one in service.armory.injected] == [fault]
    assert (await service.put())[0] == 200


async def test_http_fault_at_another_stage_hits_nothing(service: Service) -> None:
    service.armory.arm("created", "500")
    assert (await service.put())[0] == 200


async def test_http_burst_hits_all_requests_until_it_is_disarmed(service: Service) -> None:
    armed = service.armory.arm("claimed", "500", BURST)
    assert [(await service.put())[0] for _ in range(3)] == [500, 500, 500]
    service.armory.disarm(armed)
    assert (await service.put())[0] == 200


async def test_event_that_the_bus_does_not_accept(service: Service) -> None:
    service.armory.arm("bus", "not accepted")
    body = json.dumps({"Entries": [{}, {}]}).encode()
    async with service.session.post("/", data=body, headers={"X-Amz-Target": "AWSEvents.PutEvents"}) as answer:
        found = await answer.json(content_type=None)
    assert (found["FailedEntryCount"], len(found["Entries"]), service.requests) == (2, 2, [])


# ---- TCP -------------------------------------------------------------------------------------------------------------

PARKED = b"\x00\x16generate_shot_retry_5s"


class Echo:
    """A server behind a TCP proxy, which sends back what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.armory = Armory()

    async def start(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await reader.read(1000):
                    self.got += data
                    writer.write(data)
            writer.close()

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.proxy = TcpProxy(self.server.sockets[0].getsockname()[1], self.armory, nobody)
        await self.proxy.start()

    async def send(self, data: bytes) -> bytes:
        """Sends bytes over a new connection; returns what comes back, which is nothing if the connection breaks."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(1000), 5)
        except OSError:
            return b""
        finally:
            writer.transport.abort()


@pytest.fixture
async def echo(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Echo]:
    monkeypatch.setattr(tcp_proxy, "FREEZE_SECONDS", 0.2)
    monkeypatch.setattr(tcp_proxy, "SLOW_SECONDS", 0.2)
    echo = Echo()
    await echo.start()
    yield echo
    await echo.proxy.close()
    echo.server.close()


@pytest.mark.parametrize(
    ("fault", "arrives", "answered"),
    [
        ("cut before", False, False),
        ("cut after", True, False),
        ("half-open", False, False),
        ("slow", True, True),
        ("killed before", False, False),
        ("killed after", True, False),
        ("frozen before", True, True),
        ("frozen after", True, True),
    ],
)
async def test_tcp_fault_hits_one_publish(echo: Echo, fault: str, arrives: bool, answered: bool) -> None:
    echo.armory.arm("parked", fault)
    assert await echo.send(b"other") == b"other"
    echo.got = b""
    assert await echo.send(PARKED) == (PARKED if answered else b"")
    assert echo.got == (PARKED if arrives else b"")
    assert await echo.send(PARKED) == PARKED


async def test_tcp_proxy_cuts_and_refuses_all_connections(echo: Echo) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.proxy.port)
    writer.write(b"open")
    assert await reader.read(10) == b"open"
    echo.proxy.refuse(60)
    with suppress(ConnectionResetError):
        assert await reader.read(10) == b""
    assert await echo.send(b"new") == b""
    writer.transport.abort()
