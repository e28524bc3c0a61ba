"""Checks whether a compressed body is complete.

If compressed data break off within a message whose framing is right, Chromium shows the part that it can decompress and
reports nothing (measured with gzip, deflate, br and zstd). On plain http the proxy sees the data. Browsers offer only
gzip and deflate there; they offer br and zstd over TLS and to loopback.
"""

from __future__ import annotations

import zlib

_MOST = 256 * 1024 * 1024
"""Bytes of output after which the check of a body stops."""
_PIECE = 1024 * 1024
_GZIP = b"\x1f\x8b\x08"
_GZIP_HEAD = 10
_EXTRA, _NAME, _COMMENT, _CHECKSUM = 4, 8, 16, 2


class Body:
    """Checks the contents of one response as they arrive. It ignores checksums, as Chromium does."""

    def __init__(self, coding: str) -> None:
        """Takes the coding: `gzip` or `deflate` (RFC 9110, section 8.4.1)."""
        self._coding = coding
        self._head: bytearray | None = bytearray()
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._produced = 0
        self._begun = False
        self._unknown = False

    @property
    def is_cut(self) -> bool:
        """Whether the compressed data have begun and not ended; False if that is unknown."""
        return self._begun and not self._unknown and not self._inflate.eof

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the contents, without the framing of the message."""
        if self._unknown or self._inflate.eof:
            return
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
