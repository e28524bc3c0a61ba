"""Sends one POST to a stranger's server: only by https, under the same egress rules as a page, with time limits.

No HTTP library is used. Those in the layer resolve the name themselves, so the address that they connect to might not
be the one that was checked. Of the answer only the status is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import ada_url

from urlshot.core.egress import Egress
from urlshot.network.dial import Resolver, Unreachable, dial, resolve

ATTEMPT_SECONDS = 15.0
"""The limit from the lookup of the name to the status; Standard Webhooks recommends 15 to 30 s."""
DROP_SECONDS = 1.0
DROP_BYTES = 64 * 1024
"""The limits for reading and dropping the answer's body, so that the server can finish writing a short one."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_CHUNK = 16 * 1024


class Undelivered(Exception):
    """The callback was not delivered. The text says why; of the URL it names at most the host."""


@dataclass(frozen=True)
class Sender:
    """Sends posts under one set of egress rules and one set of trusted certificates."""

    egress: Egress
    tls: ssl.SSLContext
    resolver: Resolver = resolve

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Posts JSON and returns the status of the answer; does not follow redirects.

        Args:
            url: a canonical https URL.
            headers: headers besides those of every post.
            body: the JSON.

        Raises:
            Undelivered: the address is not allowed, or no answer came from it.
        """
        parsed = ada_url.URL(url)
        if parsed.protocol != "https:":
            raise Undelivered("only https:// URLs are allowed")
        head = {
            "Host": parsed.host,
            "User-Agent": "urlshot",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **headers,
        }
        lines = [f"POST {parsed.pathname}{parsed.search} HTTP/1.1", *(f"{name}: {text}" for name, text in head.items())]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + body
        host = parsed.hostname.removeprefix("[").removesuffix("]")
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                reader, writer = await dial(host, int(parsed.port or 443), self.egress, self.resolver, self.tls)
                try:
                    writer.write(request)
                    await writer.drain()
                    status = await _status(reader)
                except BaseException:
                    writer.transport.abort()
                    raise
        except Unreachable as error:
            raise Undelivered(f"{error.failure.code}: {error.failure.reason}") from error
        except TimeoutError as error:
            raise Undelivered(f"no answer within {ATTEMPT_SECONDS:g} s") from error
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Undelivered(f"the connection broke: {type(error).__name__}") from error
        await _drop(reader, writer)
        return status


async def _status(reader: asyncio.StreamReader) -> int:
    """Reads the status of the final answer and skips informational ones before it (RFC 9110, section 15.2)."""
    while True:
        found = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if found is None:
            raise Undelivered("the answer is not HTTP")
        if (status := int(found[1])) >= 200:
            return status


async def _drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads and drops the answer's body up to the limits, and closes the connection."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(DROP_SECONDS):
            left = DROP_BYTES
            while left > 0 and (chunk := await reader.read(_CHUNK)):
                left -= len(chunk)
            writer.close()
            await writer.wait_closed()
    writer.transport.abort()
