"""The egress proxy: every connection of Chromium goes through it.

The proxy accepts CONNECT, for https and WebSockets, and absolute-form requests, for plain http. Every connection
belongs to the current job and ends with it; without a job the proxy accepts none. Plain http has one request per
connection. This costs one connection for each resource of pages that are rare today, and no message can be taken for
two.

Why not a library: proxy.py (2.4.10) lets a plugin's `resolve_dns` return the one address to dial, so a plugin can
check the address. But that call is not asynchronous, proxy.py tries no second address, and it connects by name if the
plugin returns nothing. It has 0.6 MB in 158 files and takes 0.37 s to import at every cold start (measured). This
module, `dial` and `wire` have 500 lines and take 0.006 s beyond the other imports of the function.

The proxy needs no password: on Lambda no other user is on the machine, and locally the proxy reaches only addresses
that every process may reach.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from functions.render.network.compressed import Body
from functions.render.network.ledger import Ledger
from functions.render.network.responses import Response, ResponseReader
from functions.render.network.wire import MAX_HEAD, BadMessage, Request, parse_request, refusal
from urlshot.core.egress import Egress
from urlshot.network.dial import Resolver, Unreachable, dial, resolve

HEAD_SECONDS = 10.0
"""Longest wait for the browser's request."""
IDLE_SECONDS = 60.0
"""Longest silence on a connection, in both directions together."""

_CHUNK = 64 * 1024

# Proxy-Status error types (RFC 9209, section 2.3) for our codes.
_ERROR_TYPES = {
    "blocked_target": "destination_ip_prohibited",
    "name_not_found": "dns_error",
    "connection_refused": "connection_refused",
    "connection_failed": "destination_unavailable",
}


class EgressProxy:
    """A proxy on a loopback port of its own; `begin()` starts a job and `end()` ends it."""

    def __init__(self, egress: Egress, resolver: Resolver = resolve) -> None:
        self._egress = egress
        self._resolver = resolver
        self._server: asyncio.Server | None = None
        self._ledger: Ledger | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Starts to listen; returns the proxy's address in the form that Chromium takes."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stops listening and cuts all connections."""
        if self._server is not None:
            self._server.close()
        await self.end()

    def begin(self, ledger: Ledger) -> None:
        """Accepts connections from now on and counts them in this ledger."""
        self._ledger = ledger

    async def end(self) -> None:
        """Cuts the job's connections and accepts no new ones."""
        self._ledger = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._ledger is None or task is None:
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer, self._ledger)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the browser notices the broken connection
        except asyncio.CancelledError:
            pass  # end() cancelled the task, which ends here anyway; asyncio would log the cancellation as an error
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger) -> None:
        try:
            request = parse_request(await _head(reader))
        except BadMessage as error:
            writer.write(refusal(error.status, "http_request_error"))
            return
        if not ledger.connection():
            writer.write(refusal(403, "connection_limit_reached"))
            return
        endpoint = (request.host, request.port)
        try:
            server_reader, server_writer = await dial(*endpoint, self._egress, self._resolver)
        except Unreachable as error:
            ledger.failed(endpoint, error.failure)
            status = 403 if error.failure.code == "blocked_target" else 502
            writer.write(refusal(status, _ERROR_TYPES.get(error.failure.code, "destination_unavailable")))
            await writer.drain()
            return
        connection = _Connection(ledger, reader, writer, server_reader, server_writer)
        try:
            if request.is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await connection.tunnel()
            else:
                await connection.exchange(request)
        except BadMessage as error:
            writer.write(refusal(error.status, "http_response_incomplete"))
        finally:
            server_writer.close()


class _Connection:
    """One connection between the browser and a server, and the ledger that counts its bytes."""

    def __init__(
        self,
        ledger: Ledger,
        browser_reader: asyncio.StreamReader,
        browser_writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        self._ledger = ledger
        self._browser = browser_reader, browser_writer
        self._server = server_reader, server_writer
        self._last = asyncio.get_running_loop().time()

    async def tunnel(self) -> None:
        """Passes bytes both ways until one side closes or both are silent; browsers never close one direction only."""
        up = asyncio.create_task(self._pump(self._browser[0], self._server[1], self._sent))
        down = asyncio.create_task(self._pump(self._server[0], self._browser[1], self._received))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def exchange(self, request: Request) -> None:
        """Passes on one plain http request and its response."""
        head = request.head()
        self._server[1].write(head)
        self._sent(len(head))
        body = asyncio.create_task(self._body(request.length))
        try:
            try:
                response = await self._response(request.port)
            except (OSError, TimeoutError) as error:
                raise BadMessage("no response", 502) from error
            if response is None:
                return
            watched = self._watched(request, response)
            self._look(request, watched, response.rest)
            self._browser[1].write(response.head + response.rest)
            await self._pump(self._server[0], self._browser[1], self._received, partial(self._look, request, watched))
            if watched is not None and watched.is_cut and not body.done():  # the browser stayed to the server's close
                self._ledger.broke_off(request.url)
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    def _watched(self, request: Request, response: Response) -> Body | None:
        """Returns a checker for a compressed body, whose end the browser does not check; None for other bodies."""
        if request.method == "HEAD" or response.coding not in {"gzip", "deflate"}:
            return None
        return Body(response.coding, chunked=response.chunked, length=response.length)

    def _look(self, request: Request, body: Body | None, data: bytes) -> None:
        """Checks the next bytes of a body before the browser gets them, because it may close at the last one."""
        if body is None:
            return
        body.feed(data)
        if body.is_over and body.is_cut:
            self._ledger.broke_off(request.url)

    async def _response(self, port: int) -> Response | None:
        """Reads the response's head and the bytes that came with it; returns None if the job exceeds its bytes."""
        reading = ResponseReader(port)
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await self._server[0].read(_CHUNK)
            response = reading.feed(data)
            if not self._received(len(data)):
                return None
            if response is not None:
                return response

    async def _body(self, length: int) -> None:
        """Passes on as many bytes as the request announced, then waits until the browser closes the connection."""
        reader, writer = self._browser[0], self._server[1]
        while length > 0:
            chunk = await reader.read(min(_CHUNK, length))
            if not chunk or not self._sent(len(chunk)):
                break
            writer.write(chunk)
            await writer.drain()
            length -= len(chunk)
        else:
            # One request per connection: further bytes are not passed on.
            while await reader.read(_CHUNK):
                pass
        writer.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        count: Callable[[int], bool],
        look: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    chunk = await source.read(_CHUNK)
            except TimeoutError:
                if asyncio.get_running_loop().time() - self._last < IDLE_SECONDS:
                    continue
                return
            if not chunk:
                with contextlib.suppress(OSError):
                    target.write_eof()
                return
            if not count(len(chunk)):
                return
            look(chunk)
            target.write(chunk)
            await target.drain()

    def _sent(self, size: int) -> bool:
        self._last = asyncio.get_running_loop().time()
        return self._ledger.moved(sent=size)

    def _received(self, size: int) -> bool:
        self._last = asyncio.get_running_loop().time()
        return self._ledger.moved(received=size)


async def _head(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(HEAD_SECONDS):
        return await reader.readuntil(b"\r\n\r\n")
