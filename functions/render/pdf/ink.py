"""Counts what a PDF shows, from its page contents: glyphs, characters without a glyph, images, painted shapes.

The counts come from the PDF and not from the page, because the PDF is the result. Chromium's PDF backend (Skia) writes
text as glyph numbers in hexadecimal. Number 0 is a font's `.notdef`, the empty box; the character that it stands for is
beside it as ActualText, except for the first character of a font.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass, field

from functions.render.page.look import Look

MOST_BYTES = 32_000_000
"""Bytes of page contents that are read; 2,000 pages of text have fewer."""

_ORNAMENT = 20
"""Characters of text under filters that are no loss."""

_STREAM = re.compile(rb">>\s?stream\r?\n")
_OBJECT = b" obj"
_HEAD = re.compile(rb"\s*<<((?:[^<>\0]|<<[^<>]*>>){0,400})>>")
"""The dictionary of a stream, between `obj` and `stream`."""
_GLYPHS = re.compile(rb"<([0-9A-Fa-f]+)> Tj")
_IMAGE = re.compile(rb"/X\d+ Do\b")
_PAINT = re.compile(rb"\n(?:f\*?|S|B\*?)(?=\n)")
_SHADING = b" sh\n"
_SPACE, _NOTDEF = "\3", "\0"
"""Glyph 3 is the space in most fonts; glyph 0 is the empty box."""
_SHOWN = re.compile(
    rb"(?:/ActualText ?(?:<([0-9A-Fa-f]*)>|\(((?:[^()\\]|\\.)*)\)) ?>> ?BDC)"
    rb"|<([0-9A-Fa-f]+)> Tj|(\bEMC\b)|(/X\d+ Do\b)|(?:^|\s)(f\*?|S|B\*?|sh)(?=\s)"
)
_SCALE = re.compile(rb"\n([\d.]+) 0 0 \1 [\d.]+ [\d.]+ cm\n")
"""The first matrix with equal scales in a page content: that of the page's content. Skia prints at 300 dots an inch."""
_DOTS = 300 / 96
_LENGTH = re.compile(rb"/Length (\d{1,10})\b")


@dataclass
class Ink:
    """Counts of what is drawn; `missing` counts by writing system, the first word of a character's Unicode name."""

    glyphs: int = 0
    images: int = 0
    shapes: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    scale: float = 0.0
    """The scale at which the browser printed; below that of the options if the content is wider than the sheet."""

    @property
    def nearly_none(self) -> bool:
        """Whether there is almost nothing on the paper; one or two shapes are a background."""
        return self.glyphs == 0 and self.images == 0 and self.shapes <= 2


def ink(pdf: bytes) -> Ink:
    """Counts what a PDF by Chromium shows; skips streams that cannot be read."""
    found = Ink()
    left = MOST_BYTES
    at = 0
    while left > 0 and (match := _STREAM.search(pdf, at)) is not None:
        begin = pdf.rfind(_OBJECT, at, match.start())
        whole = _HEAD.fullmatch(pdf, begin + len(_OBJECT), match.start() + len(b">>")) if begin >= 0 else None
        if whole is None:
            at = match.end()
            continue
        head = whole[1]
        length = _LENGTH.search(head)
        at = match.end() + (int(length[1]) if length else 0)
        # Page contents have no /Type and no /Subtype. Fonts and images have one, and font files have /Length1.
        plain = b"/Type" not in head and b"/Subtype" not in head and b"/Length1" not in head
        if b"/FlateDecode" not in head or not (plain or b"/Form" in head):
            continue
        try:
            content = zlib.decompressobj().decompress(pdf[match.end() : at], left)
        except zlib.error:
            continue
        left -= len(content)
        if b"begincmap" not in content[:200]:
            if not found.scale and (scaled := _SCALE.search(content, 0, 300)) is not None:
                found.scale = float(scaled[1]) / _DOTS
            _count(content, found)
    return found


def as_picture(look: Look, paper: Ink) -> int:
    """Returns how many characters are printed as part of a picture only: those under a CSS filter.

    Returns 0 where they are few, as in an ornament, and where the paper has about as many characters as the page.
    """
    if look.filtered < _ORNAMENT or (look.filtered < look.text * 0.1 and look.filtered < _ORNAMENT * 5):
        return 0
    return 0 if paper.glyphs > look.text - look.filtered / 2 else look.filtered


def _count(content: bytes, found: Ink) -> None:
    """Counts what a page content shows. It searches for one operator after another, because that is fast."""
    strings = _GLYPHS.findall(content)
    one_byte = 0
    if any(length % 4 for length in set(map(len, strings))):  # fonts with one byte for each glyph
        one_byte = sum(len(string) < 4 for string in strings)
        strings = [string[: len(string) & ~3] for string in strings]
    digits = b"".join(strings)
    text = bytes.fromhex(digits.decode()).decode("utf-16-be", "surrogatepass")  # one character for each glyph
    if _NOTDEF in text:
        _read(content, found)
        return
    found.glyphs += len(digits) // 4 + one_byte - text.count(_SPACE)
    found.shapes += len(_PAINT.findall(content)) + content.count(_SHADING)
    found.images += len(_IMAGE.findall(content))


def _read(content: bytes, found: Ink) -> None:
    """Does the same as `_count`, in the order of the content: it also tells what the missing glyphs stand for."""
    meant = ""
    for hexadecimal, literal, shown, end, image, shape in _SHOWN.findall(content):
        if shown:
            glyphs = [shown[place : place + 4] for place in range(0, len(shown) - 3, 4)] or [shown]
            found.glyphs += sum(glyph != b"0003" for glyph in glyphs)  # 3 is the space in most fonts
            if count := glyphs.count(b"0000"):
                found.missing[_script(meant)] += count
        elif hexadecimal:
            even = hexadecimal + b"0" * (len(hexadecimal) % 2)  # a missing last digit is 0 (ISO 32000-1, 7.3.4.3)
            meant = bytes.fromhex(even.decode()).decode("utf-16", "ignore")
        elif literal or end:
            meant = literal.decode("latin-1")
        elif image:
            found.images += 1
        elif shape:
            found.shapes += 1


def _script(text: str) -> str:
    """Returns the writing system of a text's first character, such as TIBETAN; UNKNOWN for an empty text."""
    if not text:
        return "UNKNOWN"
    if unicodedata.category(text[0]) == "Co":
        return "PRIVATE USE"
    return re.split(r"[ -]", unicodedata.name(text[0], "UNASSIGNED"))[0]
