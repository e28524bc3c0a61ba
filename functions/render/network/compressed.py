"""Checks whether a compressed body is complete.

If compressed data break off within a message whose framing is right, Chromium shows the part that it can decompress and
reports nothing (measured with gzip, deflate, br and zstd). On plain http the proxy sees the data. Browsers offer only
gzip and deflate there; they offer br and zstd over TLS and to loopback.
"""

from __future__ import annotations

import re
import zlib

_MOST = 256 * 1024 * 1024
"""Bytes of output after which the check of a body stops."""
_PIECE = 1024 * 1024
_GZIP = b"\x1f\x8b\x08"
_GZIP_HEAD = 10
_EXTRA, _NAME, _COMMENT, _CHECKSUM = 4, 8, 16, 2
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?")


class Body:
    """Checks the body of one response as it arrives. It ignores checksums, as Chromium does."""

    def __init__(self, coding: str, *, chunked: bool, length: int | None) -> None:
        """Begins a body.

        Args:
            coding: `gzip` or `deflate` (RFC 9110, section 8.4.1).
            chunked: Whether the body has the transfer coding `chunked`.
            length: The announced length in bytes; None if there is none.
        """
        self._coding = coding
        self._left = length
        self._chunks = _Chunks() if chunked else None
        self._head: bytearray | None = bytearray()
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._produced = 0
        self._begun = False
        self._unknown = False

    @property
    def is_cut(self) -> bool:
        """Whether the compressed data have begun and not ended; False if that is unknown."""
        return self._begun and not self._unknown and not self._inflate.eof

    @property
    def is_over(self) -> bool:
        """Whether the framing says that the message has ended; False if only the server's close says it."""
        return self._left == 0 or (self._chunks is not None and self._chunks.ended)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body."""
        if self._unknown or self._inflate.eof:
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        elif self._chunks is not None:
            data = self._chunks.feed(data)
        self._begun = self._begun or bool(data)
        if self._head is not None:
            self._head += data
            if self._coding == "gzip" and self._head[:3] != _GZIP[: len(self._head)]:
                self._unknown = True  # Chromium reports it
                return
            start = _gzip_start(self._head) if self._coding == "gzip" else _deflate_start(self._head)
            if start is None:
                return
            data, self._head = bytes(self._head[start:]), None
        try:
            while data and not self._inflate.eof and self._produced <= _MOST:
                self._produced += len(self._inflate.decompress(data, _PIECE))
                data = self._inflate.unconsumed_tail
        except zlib.error:  # Chromium reports it
            self._unknown = True
        self._unknown = self._unknown or self._produced > _MOST


def _gzip_start(head: bytearray) -> int | None:
    """Returns where the compressed data of gzip begin (RFC 1952, section 2.3); None if the head is incomplete."""
    if len(head) < _GZIP_HEAD:
        return None
    flags, at = head[3], _GZIP_HEAD
    if flags & _EXTRA:
        if len(head) < at + 2:
            return None
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = head.find(0, at)
            if end < 0:
                return None
            at = end + 1
    if flags & _CHECKSUM:
        at += 2
    return at if len(head) >= at else None


def _deflate_start(head: bytearray) -> int | None:
    """Returns where the compressed data of deflate begin; some servers omit the head of RFC 1950."""
    if len(head) < 2:
        return None
    has_head = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2], "big") % 31 == 0
    return 2 if has_head else 0


class _Chunks:
    """Decodes a chunked body (RFC 9112, section 7.1). It stops at an invalid chunk, which Chromium reports."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        content = bytearray()
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                part = data[at : at + self._left]
                content += part
                self._left -= len(part)
                at += len(part)
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end if end >= 0 else len(data)]
            if end < 0 or len(self._line) > _PIECE:
                break
            at = end + 1
            line, self._line = bytes(self._line), bytearray()
            if line in {b"", b"\r"}:  # the line break after a chunk
                continue
            size = _SIZE.fullmatch(line)
            self._left = int(size[1], 16) if size is not None else 0
            self.ended = self._left == 0
        return bytes(content)
