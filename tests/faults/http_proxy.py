"""An HTTP proxy between the functions and a service, which injects the faults that the armory draws.

It reads a request to its end, asks for a fault, forwards the request, and shows it with the status of the answer to the
books: so the books see what the service did, also if the function never gets the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from tests.faults.armory import FREEZE_SECONDS, MINUTES, MINUTES_SECONDS, Armory
from tests.faults.owners import Stopped, kill
from tests.faults.stages import Request, job_of, stage_of

HTTP_FAULTS = (
    "500",
    "503 slow down",
    "403",
    "hang",
    "late",
    "cut before",
    "cut half",
    "cut after",
    "killed before",
    "killed after",
    "frozen before",
    "frozen after",
)
"""Faults of one request. `before` and `after` refer to what the service does; `late` is after the client gave up."""

ONLY = {"not accepted": ("bus",), "429": ("invoke",), "frozen past its timeout": ("upload",)}
"""Faults that only some stages can have."""

TIMEOUT_SECONDS = 40.0
"""How long a function is stopped so that it exceeds its timeout."""

_REFUSED = {
    "500": (500, "InternalError", "InternalServerException"),
    "503 slow down": (503, "SlowDown", "ServiceUnavailable"),
    "403": (403, "AccessDenied", "AccessDeniedException"),
    "429": (429, "TooManyRequests", "TooManyRequestsException"),
}


@dataclass(frozen=True)
class _Answer:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def wire(self, head_only: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if not head_only:
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (b"" if head_only else self.body)


class HttpProxy:
    """Serves a port of 127.0.0.1; all methods belong to one event loop.

    Args:
        upstream: The URL of the service.
        armory: Draws the faults.
        seen: Gets each request that the service has answered, with the status.
        find: Returns the function's process that has the local port of a connection.
    """

    def __init__(
        self,
        upstream: str,
        armory: Armory,
        seen: Callable[[Request, int], None],
        find: Callable[[int], Awaitable[int | None]],
    ) -> None:
        self._upstream = upstream
        self._armory = armory
        self._seen = seen
        self._find = find
        self._late: set[asyncio.Task[_Answer]] = set()
        self.port = 0

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=60),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        await self._session.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader, writer)) is not None:
                if not await self._serve(request, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, aiohttp.ClientError, TimeoutError):
            pass  # one of the two sides has gone
        finally:
            writer.transport.abort()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Serves one request, and says whether the connection is kept."""
        stage = stage_of(request)
        what = f"{request.method} {request.key or request.path}"[:160]
        fault = self._armory.draw((stage, "aws"), what, job_of(request))
        if fault is None:
            await _answer(writer, request, await self._forward(request))
            return True
        port = writer.get_extra_info("peername")[1]
        if fault in _REFUSED or fault == "not accepted":
            await _answer(writer, request, _refusal(fault, request))
            return True
        if fault == "hang":
            await asyncio.sleep(FREEZE_SECONDS)
            return False
        if fault == "late":
            await asyncio.sleep(FREEZE_SECONDS)
            await self._forward(request)
            return False
        if fault == "cut before":
            return False
        if fault in ("killed before", "killed after"):
            if fault == "killed after":
                await self._forward(request)
            if (pid := await self._find(port)) is not None:
                self._armory.note_hurt(pid)
                kill(pid)
            return False
        if fault in ("frozen before", "frozen after", "frozen past its timeout", MINUTES):
            answer = await self._forward(request) if fault == "frozen after" else None
            long = {"frozen past its timeout": TIMEOUT_SECONDS, MINUTES: MINUTES_SECONDS}
            await self._freeze(port, long.get(fault, FREEZE_SECONDS))
            await _answer(writer, request, answer or await self._forward(request))
            return True
        answer = await self._forward(request)
        if fault == "cut half":
            wire = answer.wire(request.method == "HEAD")
            writer.write(wire[: len(wire) // 2 or 1])
            await writer.drain()
        return False

    async def _freeze(self, port: int, seconds: float) -> None:
        pid = await self._find(port)
        if pid is None:
            return
        self._armory.note_hurt(pid)
        stopped = await asyncio.to_thread(Stopped, pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            stopped.go()

    async def _forward(self, request: Request) -> _Answer:
        """Forwards a request in a task of its own, so that the service does all of it whoever goes away."""
        task = asyncio.create_task(self._do(request))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return await asyncio.shield(task)

    async def _do(self, request: Request) -> _Answer:
        url = self._upstream + request.path
        headers = {k: v for k, v in request.headers.items() if k not in ("connection", "expect", "transfer-encoding")}
        async with self._session.request(
            request.method,
            aiohttp.client.URL(url, encoded=True),
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            kept = ("connection", "transfer-encoding", "keep-alive")
            if request.method != "HEAD":
                kept = (*kept, "content-length")
            shown = [(k, v) for k, v in answer.headers.items() if k.lower() not in kept]
            self._seen(request, answer.status)
            return _Answer(answer.status, answer.reason or "", shown, body)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Reads a request; None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        headers["content-length"] = str(len(body))
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def _answer(writer: asyncio.StreamWriter, request: Request, answer: _Answer) -> None:
    writer.write(answer.wire(request.method == "HEAD"))
    with suppress(ConnectionError):
        await writer.drain()


def _refusal(fault: str, request: Request) -> _Answer:
    """Returns the answer of a service that refuses, in the form of the protocol of the request."""
    if fault == "not accepted":
        count = len(json.loads(request.body)["Entries"])
        entries = [{"ErrorCode": "InternalFailure", "ErrorMessage": "not now"}] * count
        body = json.dumps({"FailedEntryCount": count, "Entries": entries}).encode()
        return _Answer(200, "OK", [("Content-Type", "application/x-amz-json-1.1")], body)
    status, in_xml, in_json = _REFUSED[fault]
    if "x-amz-target" in request.headers or request.path.startswith(("/v2/", "/2015-")):
        body = json.dumps({"__type": in_json, "message": "injected"}).encode()
        head = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", in_json)]
        return _Answer(status, in_json, head, body)
    text = f"<?xml version='1.0'?><Error><Code>{in_xml}</Code><Message>injected</Message></Error>"
    return _Answer(status, in_xml, [("Content-Type", "application/xml")], text.encode())
