"""Reads the page count of a PDF without a PDF library: Chromium writes plain cross-reference tables (PDF 1.4)."""

from __future__ import annotations

import contextlib
import itertools
import re
import zlib

_STARTXREF = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF\s*\Z")
_SECTION = re.compile(rb"\s*(\d{1,9}) (\d{1,9})\s*\n")
_ROOT = re.compile(rb"/Root (\d{1,9}) 0 R")
_PREV = re.compile(rb"/Prev (\d{1,12})\b")
_PAGES = re.compile(rb"/Pages (\d{1,9}) 0 R")
_COUNT = re.compile(rb"/Count (\d{1,9})")
_OBJECTS = re.compile(rb"/Type\s*/ObjStm[^>]{0,200}>>\s*stream\r?\n")
_TREE = re.compile(rb"<<[^<>]{0,200}/Type\s*/Pages\b[^<>]{0,200}>>|/Type\s*/Pages\b[^>]{0,400}")

MOST_BYTES = 32_000_000
"""Bytes that are searched for the number of pages."""

_TABLES = 1000
"""Cross-reference tables that are searched for an object; each change of a file adds one."""
_STREAMS = 10_000
"""Object streams that are searched."""
_ENTRY = 20
"""Bytes of a cross-reference entry (ISO 32000-1, section 7.5.4)."""
_OBJECT = 4096
"""Bytes of the catalogue, or of the page tree's root, that are searched for its key."""


class NotPdf(ValueError):
    """The bytes are not a complete PDF as Chromium writes it."""


def page_count(pdf: bytes) -> int:
    """Returns the number of pages, which the root of the page tree holds.

    A search of the whole file for `/Count` would be simpler, but the title of a page could fake it.

    Raises:
        NotPdf: The file is cut off, or is not a PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise NotPdf("does not begin with %PDF")
    end = _STARTXREF.search(pdf, max(0, len(pdf) - 64))
    if end is None:
        raise NotPdf("does not end like a PDF")
    table = int(end[1])
    trailer = pdf.find(b"trailer", table)
    root = _ROOT.search(pdf, trailer)
    if pdf[table : table + 4] != b"xref" or trailer < 0 or root is None:
        raise NotPdf("has no plain cross-reference table")
    catalogue = _object(pdf, table, int(root[1]))
    pages = _PAGES.search(catalogue)
    if pages is None:
        raise NotPdf("has a catalogue without pages")
    count = _COUNT.search(_object(pdf, table, int(pages[1])))
    if count is None or int(count[1]) == 0:
        raise NotPdf("has no pages")
    return int(count[1])


def page_count_of_any(pdf: bytes) -> int:
    """Returns the largest page count in a PDF that another program wrote; 0 if none is found.

    The result is a guess and decides nothing: such a file may keep its objects in compressed streams, and may hold
    several versions of them.
    """
    with contextlib.suppress(NotPdf):
        return page_count(pdf)
    texts = [pdf[:MOST_BYTES]]
    read = produced = end = 0
    for match in itertools.islice(_OBJECTS.finditer(pdf), _STREAMS):
        if end < match.end():  # otherwise this end is the next one too
            end = pdf.find(b"endstream", match.end())
        read += end - match.end()
        if end < 0 or read > MOST_BYTES or produced >= MOST_BYTES:
            break
        stream = pdf[match.end() : end]
        with contextlib.suppress(zlib.error):
            texts.append(zlib.decompressobj().decompress(stream, MOST_BYTES - produced))
            produced += len(texts[-1])
    counts = [_COUNT.search(match[0]) for text in texts for match in _TREE.finditer(text)]
    return max((int(count[1]) for count in counts if count), default=0)


def _object(pdf: bytes, table: int, number: int) -> bytes:
    """Returns an object's bytes, up to its end and at most _OBJECT."""
    for _ in range(_TABLES):
        at = table + 4
        while (section := _SECTION.match(pdf, at)) is not None:
            first, count = int(section[1]), int(section[2])
            if first <= number < first + count:
                entry = section.end() + (number - first) * _ENTRY
                offset = pdf[entry : entry + 10]
                if not offset.isdigit():
                    break
                body = pdf[int(offset) : int(offset) + _OBJECT]
                return body.partition(b"endobj")[0]
            at = section.end() + count * _ENTRY
        older = _PREV.search(pdf, at, at + _OBJECT)
        if older is None or int(older[1]) >= table:
            break
        table = int(older[1])
    raise NotPdf(f"has no object {number}")
