"""One POST to a stranger's server: https only, by the same way out as a page's, with an end to every wait.

Why not a library: those that the layer has resolve the name by themselves, so what was checked might not be what is
dialled; and nothing is needed of the answer but its status.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import ada_url

from urlshot.dial import Resolver, Unreachable, dial, resolve
from urlshot.egress import Egress

ATTEMPT_SECONDS = 15.0
"""From the lookup of the name to the status; Standard Webhooks recommends 15 to 30."""
DROP_SECONDS = 1.0
DROP_BYTES = 64 * 1024
"""How much of an answer's body is read, and dropped, so that a server is not cut off while it is still writing."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_CHUNK = 16 * 1024


class Undelivered(Exception):
    """It was not delivered; the text says why, and names the host at most."""


@dataclass(frozen=True)
class Sender:
    """What all posts have in common: the egress rules, and whose certificates are trusted."""

    egress: Egress
    tls: ssl.SSLContext
    resolver: Resolver = resolve

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Posts JSON to a canonical https URL and gives the status of the answer; redirects are not followed.

        Raises:
            Undelivered: the address is not allowed or there is no answer from it.
        """
        parsed = ada_url.URL(url)
        if parsed.protocol != "https:":
            raise Undelivered("only https:// is called")
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
    """The status of the final answer; informational ones before it are passed over (RFC 9110, section 15.2)."""
    while True:
        found = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if found is None:
            raise Undelivered("the answer is not HTTP")
        if (status := int(found[1])) >= 200:
            return status


async def _drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(DROP_SECONDS):
            left = DROP_BYTES
            while left > 0 and (chunk := await reader.read(_CHUNK)):
                left -= len(chunk)
            writer.close()
            await writer.wait_closed()
    writer.transport.abort()
