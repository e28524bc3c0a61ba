"""Reads a PDF that a URL serves from the paused response (DevTools' domains Fetch and IO)."""

from __future__ import annotations

import base64

from playwright_aws_lambda import Session
from urlshot.core.errors import failure

_CHUNK = 1 << 20
_MAGIC_WITHIN = 1024
"""Bytes within which readers look for a PDF's header (ISO 32000-1, annex H.3.4.1)."""
_TAIL = 4096
"""Bytes at the end of a whole PDF that contain `startxref`; some files have other bytes after it."""


class NotServed(Exception):
    """The response is not a PDF."""


async def read_served(session: Session, request: str, most: int) -> bytes:
    """Returns the PDF in a response; the first bytes decide, whatever its type is.

    Args:
        session: The session that has reported the response.
        request: DevTools' id of the paused request.
        most: The largest size in bytes.

    Raises:
        NotServed: The response is not a PDF; no more than a chunk of it was read.
        UrlshotError: `too_large`, or `unsupported_content` if the PDF is incomplete.
        DevToolsError: The page has gone.
    """
    stream = (await session.call("Fetch.takeResponseBodyAsStream", {"requestId": request}))["stream"]
    data = bytearray()
    ended = False
    while not ended:
        part = await session.call("IO.read", {"handle": stream, "size": _CHUNK})
        data += base64.b64decode(part["data"]) if part.get("base64Encoded") else part["data"].encode("latin-1")
        ended = part["eof"]
        if len(data) >= _MAGIC_WITHIN or ended:
            if b"%PDF-" not in data[:_MAGIC_WITHIN]:
                raise NotServed
            if len(data) > most:
                raise failure("too_large", f"The PDF has more than {most:,} bytes.")
    if b"startxref" not in data[-_TAIL:]:
        raise failure("unsupported_content", "The PDF at the URL is incomplete.")
    return bytes(data)
