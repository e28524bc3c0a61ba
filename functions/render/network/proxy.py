"""The egress proxy: every connection of Chromium goes through it.

The proxy accepts CONNECT, for https and WebSockets, and absolute-form requests, for plain http. Every connection
belongs to the current job and ends with it; without a job the proxy accepts none.

    browser_connection  reads the requests on one connection of the browser
    exchange            passes on a plain http request and its response
    tunnel              passes on the bytes after CONNECT
    session             holds the connections of a job, and those to servers that can carry another request
    wire, responses     read the heads of requests and of responses
    framing             finds the end of a response's body
    compressed          checks compressed bodies
    ledger              counts

A connection carries several plain http requests, on both sides, because a connection for each one costs more than the
request itself. `exchange`, `session` and `framing` say why no message can be taken for two. The modules work with
asyncio's protocols and not with its streams: an exchange then needs no task and no timer of its own.

Why not a library: proxy.py (2.4.10) lets a plugin's `resolve_dns` return the one address to dial, so a plugin can
check the address. But that call is not asynchronous, proxy.py tries no second address, and it connects by name if the
plugin returns nothing. It has 0.6 MB in 158 files and takes 0.37 s to import at every cold start (measured).

The proxy needs no password: on Lambda no other user is on the machine, and locally the proxy reaches only addresses
that every process may reach.
"""

from __future__ import annotations

import asyncio

from functions.render.network.browser_connection import BrowserConnection
from functions.render.network.ledger import Ledger
from functions.render.network.session import Session
from urlshot.core.egress import Egress
from urlshot.network.dial import Resolver, resolve


class EgressProxy:
    """A proxy on a loopback port of its own; `begin()` starts a job and `end()` ends it."""

    def __init__(self, egress: Egress, resolver: Resolver = resolve) -> None:
        self._egress = egress
        self._resolver = resolver
        self._server: asyncio.Server | None = None
        self._session: Session | None = None

    async def start(self) -> str:
        """Starts to listen; returns the proxy's address in the form that Chromium takes."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: BrowserConnection(self._session), "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stops listening and cuts all connections."""
        if self._server is not None:
            self._server.close()
        await self.end()

    def begin(self, ledger: Ledger) -> None:
        """Accepts connections from now on and counts them in this ledger."""
        self._session = Session(ledger, self._egress, self._resolver)

    async def end(self) -> None:
        """Cuts the job's connections and accepts no new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.end()
