"""Finds the end of a response's body, and writes the body for the browser with a framing of the proxy's own.

The browser never gets a byte of a server's framing. It therefore sees the end of a message exactly where the proxy sees
it, and what the server sends after that end reaches nobody. The decoder of chunks accepts what Chromium's accepts
(net/http/http_chunked_decoder.cc), so that the proxy refuses no page that a browser shows.
"""

from __future__ import annotations

import re
from typing import Protocol

from functions.render.network.responses import Response
from functions.render.network.wire import BadMessage

_MAX_LINE = 16 * 1024
"""Longest line of a chunked body, in bytes."""
_MAX_CHUNK = 2**63
_SIZE = re.compile(rb"([0-9A-Fa-f]+) *")
_STRICT_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\r")
INVALID_CHUNK = b"invalid\r\n"
"""Chromium takes this for an invalid chunk, and reports the error that it reports without the proxy."""


class Framing(Protocol):
    """The framing of one body. `is_over` is whether its end has come.

    `is_exact` is False if the server has sent more than the body, or has spelled the framing in a way that not all
    parsers read alike. Such a connection may not be used again.
    """

    is_over: bool
    is_exact: bool

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes from the server; returns the contents in them.

        Raises:
            BadMessage: The framing is invalid.
        """

    def frame(self, content: bytes) -> bytes:
        """Returns the bytes for the browser. Takes the contents that the last call of `feed` returned.

        It is not called again after the end.
        """


class UntilClose:
    """A body that ends with the connection."""

    is_over = False
    is_exact = False

    def feed(self, data: bytes) -> bytes:
        return data

    def frame(self, content: bytes) -> bytes:
        return content


class Length:
    """A body of an announced length in bytes; drops all bytes beyond it."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_over = length == 0
        self.is_exact = True

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._left:
            data = data[: self._left]
            self.is_exact = False
        self._left -= len(data)
        self.is_over = self._left == 0
        return data

    def frame(self, content: bytes) -> bytes:
        return content


class Chunks:
    """A chunked body (RFC 9112, section 7.1); drops extensions, trailers and all bytes after the end."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._is_after_chunk = False
        self._is_after_last = False
        self.is_over = False
        self.is_exact = True

    def feed(self, data: bytes) -> bytes:
        parts = []
        at = 0
        while at < len(data):
            if self.is_over:
                self.is_exact = False
                break
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                self._left -= len(part)
                self._is_after_chunk = self._left == 0
                at += len(part)
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end if end >= 0 else len(data)]
            if len(self._line) > _MAX_LINE:
                raise BadMessage("a chunk's line is too long", 502)
            if end < 0:
                break
            at = end + 1
            line, self._line = self._line, b""
            self._take(line)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def frame(self, content: bytes) -> bytes:
        framed = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
        return framed + b"0\r\n\r\n" if self.is_over else framed

    def _take(self, line: bytes) -> None:
        """Takes a line without its LF."""
        text = line.removesuffix(b"\r")
        if self._is_after_last:
            self.is_over = not text
            self.is_exact = self.is_exact and line == b"\r"  # no trailers
        elif self._is_after_chunk:
            if text:
                raise BadMessage("a chunk is longer than its size", 502)
            self._is_after_chunk = False
            self.is_exact = self.is_exact and line == b"\r"
        else:
            size = _SIZE.fullmatch(text.partition(b";")[0])
            self._left = int(size[1], 16) if size is not None else _MAX_CHUNK
            if self._left >= _MAX_CHUNK:
                raise BadMessage("not the size of a chunk", 502)
            self._is_after_last = self._left == 0
            self.is_exact = self.is_exact and _STRICT_SIZE.fullmatch(line) is not None


def framing(response: Response) -> Framing:
    """Returns the framing of a response's body."""
    if not response.has_body:
        return Length(0)
    if response.chunked:
        return Chunks()
    return UntilClose() if response.length is None else Length(response.length)
