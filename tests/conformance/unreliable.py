"""S3 with faults: the simulated one with chosen faults, and moto behind a proxy that loses answers or refuses calls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from infra.local.host.ports import listen
from tests.conformance.buckets import Bucket
from tests.conformance.calls import Caller, Client
from tests.simulation.s3 import CONDITIONAL_FAULTS, READ_FAULTS, WRITE_FAULTS, SimulatedS3

FAULTS = {
    "sent again": ("lost", ""),
    "answer lost": ("lost", "lost", "lost"),
    "unavailable": ("503", "503", "503"),
    "conflict": ("409",),
}
"""What the proxy does to the attempts of one call; the client makes three (`urlshot.adapters.aws.client`)."""


class SimulatedUnreliable(Bucket):
    """The simulated S3, whose first call has a fault; `kinds` are the faults that the kind of call can have."""

    def __init__(self, fault: str, kinds: tuple[str, ...]) -> None:
        self._caller = Caller({"test/fault/0": kinds.index(fault) + 1})
        self._s3 = SimulatedS3(self._caller.kernel, lambda *_: None)
        super().__init__(Client(self._caller, self._s3), "bucket")

    def write(self, key: str, body: bytes) -> None:
        self._s3.write(key, body, {})

    def stored(self, key: str) -> bytes | None:
        found = self._s3.objects.get(key)
        return None if found is None else found.body


class Proxy:
    """Passes requests on to moto; `faults` are those of the next requests."""

    def __init__(self, target: str) -> None:
        self.faults: list[str] = []
        self._target = target
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> str:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        listening = listen()
        await web.SockSite(self._runner, listening).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def end(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        fault = self.faults.pop(0) if self.faults else ""
        if fault in ("409", "503"):
            code = "ConditionalRequestConflict" if fault == "409" else "ServiceUnavailable"
            return web.Response(status=int(fault), text=f"<Error><Code>{code}</Code><Message>m</Message></Error>")
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name not in ("Transfer-Encoding",)}
        async with self._session.request(
            request.method, self._target + request.path_qs, data=body, headers=headers
        ) as answer:
            text = await answer.read()
            if fault == "lost" and request.transport is not None:
                request.transport.abort()
            skipped = ("Transfer-Encoding", "Content-Length", "Date", "Server")
            kept = {name: value for name, value in answer.headers.items() if name not in skipped}
            return web.Response(status=answer.status, headers=kept, body=text)


class MotoUnreliable(Bucket):
    """A bucket of moto behind the proxy, whose first call has a fault."""

    def __init__(self, proxy: Proxy, direct: Bucket, through: Any, fault: str) -> None:
        super().__init__(through, direct.name)
        self._direct = direct
        proxy.faults = list(FAULTS[fault])

    def write(self, key: str, body: bytes) -> None:
        self._direct.put(key, body)

    def stored(self, key: str) -> bytes | None:
        answer = self._direct.get(key)
        return answer["Body"] if isinstance(answer, dict) else None


Unreliable = SimulatedUnreliable | MotoUnreliable
InBackground = Callable[[Coroutine[Any, Any, Any]], Any]
KINDS = {"read": READ_FAULTS, "write": WRITE_FAULTS, "conditional": CONDITIONAL_FAULTS}
