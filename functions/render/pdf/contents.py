"""Finds the page contents in a PDF by Chromium (Skia), which writes dictionaries in plain text.

A page content is a stream of operators. A form is a part of a page content as a stream of its own: Skia writes one for
every group with an opacity, a blend mode or a mask.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

MOST_BYTES = 32_000_000
"""Bytes of page contents that are read; 2,000 pages of text have fewer."""

_STREAM = re.compile(rb">>\s?stream\r?\n")
_OBJECT = b" 0 obj"
_HEAD = re.compile(rb"\s*<<[^\0]*")
"""The dictionary of a stream, without its last brackets."""
_LENGTH = re.compile(rb"/Length (\d{1,10})\b")
_PAGE = re.compile(rb"/Contents (\d{1,9}) 0 R")
_TYPE3 = b"/Subtype /Type3"
_MASK = re.compile(rb"/S /(?:Alpha|Luminosity)\s*/G (\d{1,9}) 0 R")
_USED = re.compile(rb"/X\d+ (\d{1,9}) 0 R")


class _Stream(NamedTuple):
    number: bytes
    """The digits of its object's number."""
    head: bytes
    begin: int
    end: int


class Contents:
    """The page contents and forms of a PDF.

    Attributes:
        one_byte: The numbers of the fonts with one byte for each glyph (Type 3). Skia names a font in a page content
            after its object: `/F7` is object 7.
    """

    def __init__(self, pdf: bytes) -> None:
        """Finds the streams, and decompresses none. Skips a stream if its dictionary is damaged."""
        self._pdf = pdf
        self._streams: list[_Stream] = []
        self._pages: set[bytes] = set()
        self.one_byte: set[bytes] = set()
        at = 0
        while (match := _STREAM.search(pdf, at)) is not None:
            self._read_objects(at, match.start())
            place = pdf.rfind(_OBJECT, at, match.start())
            head = _HEAD.fullmatch(pdf, place + len(_OBJECT), match.start()) if place >= 0 else None
            at = match.end()
            if head is None:
                continue
            length = _LENGTH.search(head[0])
            at += int(length[1]) if length else 0
            self._streams.append(_Stream(_number(pdf, place), head[0], match.end(), at))
        self._read_objects(at, len(pdf))

    def read(self, without: Collection[bytes] = ()) -> Iterator[tuple[bytes, bool]]:
        """Yields each content and whether it is a page's; a form's is not.

        Reads up to MOST_BYTES. Skips streams that cannot be decompressed.

        Args:
            without: The numbers of objects to skip.
        """
        left = MOST_BYTES
        for number, head, begin, end in self._streams:
            of_page = number in self._pages
            if not of_page and b"/Subtype /Form" not in head:  # an image or a font's glyph, for example
                continue
            if left <= 0:
                return
            if number in without:
                continue
            content = self._pdf[begin : min(end, begin + left)]
            if b"/FlateDecode" in head:
                try:
                    content = zlib.decompressobj().decompress(content, left)
                except zlib.error:
                    continue
            left -= len(content)
            yield content, of_page

    def masks(self) -> set[bytes]:
        """Returns the numbers of the forms that mask others and are not painted."""
        uses = {stream.number: _USED.findall(stream.head) for stream in self._streams}
        found: set[bytes] = set()
        more = set(_MASK.findall(self._pdf))
        while more:
            found |= more
            more = {used for number in more for used in uses.get(number, ())} - found
        return found

    def _read_objects(self, begin: int, end: int) -> None:
        """Notes the pages and the fonts that are described between two streams."""
        self._pages.update(_PAGE.findall(self._pdf, begin, end))
        at = self._pdf.find(_TYPE3, begin, end)
        while at >= 0:
            self.one_byte.add(_number(self._pdf, self._pdf.rfind(_OBJECT, begin, at)))
            at = self._pdf.find(_TYPE3, at + len(_TYPE3), end)


def _number(pdf: bytes, place: int) -> bytes:
    """Returns the rest of a line before a place, which is the number of an object."""
    return pdf[pdf.rfind(b"\n", 0, max(0, place)) + 1 : max(0, place)]
