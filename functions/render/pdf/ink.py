"""Tells what a PDF shows, from its page contents: glyphs, characters without a glyph, images, painted shapes.

The facts come from the PDF and not from the page, because the PDF is the result. Chromium's PDF backend (Skia) writes
text as glyph numbers in hexadecimal: two bytes for each glyph, or one byte in Type 3 fonts. Number 0 is a font's
`.notdef`, the empty box; the character that it stands for is beside it as ActualText, except for the first character of
a font.

Every job runs this code, so it searches a page content only for what the verdict needs. The numbers of marks, which few
verdicts need, are counted when they are asked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from functions.render.page.look import Look
from functions.render.pdf.contents import Contents

_ORNAMENT = 20
"""Characters of text under filters that are no loss."""
_BACKGROUND = 2
"""Shapes that are a background and not content."""

_TEXT = re.compile(rb"<(?!(?:0003)+[0-9A-Fa-f]{0,3}>)[0-9A-Fa-f]+> Tj")
"""A text with a glyph other than the space, which is glyph 3 in most fonts."""
_GLYPHS = re.compile(rb"<([0-9A-Fa-f]+)> Tj")
_IMAGE = re.compile(rb"/X\d+ Do\b")
_PAINT = re.compile(rb"\n(?:f\*?|S|B\*?)(?=\n)")
_SHADING = b" sh\n"
_SPACE = "\3"
_NOTDEF = b"0000"
_NOTDEF_OF_TYPE3 = re.compile(rb"<(?:[0-9A-Fa-f]{2})*?00[0-9A-Fa-f]*> Tj")
_FONT = re.compile(rb"/F(\d+) [\d.]+ Tf\b")
_SHOWN = re.compile(
    rb"/ActualText ?(?:<([0-9A-Fa-f]*)>|\(((?:[^()\\]|\\.)*)\)) ?>> ?BDC"
    rb"|<([0-9A-Fa-f]+)> Tj|/F(\d+) [\d.]+ Tf\b|(\bEMC\b)"
)
_SCALE = re.compile(rb"\n([\d.]+) 0 0 \1 [\d.]+ [\d.]+ cm\n")
"""The first matrix with equal scales in a page content: that of the page's content. Skia prints at 300 dots an inch."""
_DOTS = 300 / 96


@dataclass
class Marks:
    """Numbers of what is drawn."""

    glyphs: int = 0
    images: int = 0
    shapes: int = 0


@dataclass
class Ink:
    """What a PDF shows; `missing` counts by writing system, the first word of a character's Unicode name."""

    nearly_none: bool = True
    """Whether there is almost nothing on the paper; one or two shapes are a background."""
    missing: Counter[str] = field(default_factory=Counter)
    scale: float = 0.0
    """The scale at which the browser printed; below that of the options if the content is wider than the sheet."""
    pdf: bytes = field(default=b"", repr=False, compare=False)

    @cached_property
    def marks(self) -> Marks:
        """The numbers of marks; the first use reads the whole PDF."""
        return count(self.pdf)


def ink(pdf: bytes) -> Ink:
    """Tells what a PDF by Chromium shows; skips streams that cannot be read."""
    found = Ink(pdf=pdf)
    contents = Contents(pdf)
    images = shapes = 0
    for content, of_page in contents.read():
        if of_page and not found.scale and (scaled := _SCALE.search(content, 0, 300)) is not None:
            found.scale = float(scaled[1]) / _DOTS
        if found.nearly_none:
            if _TEXT.search(content) is not None:
                found.nearly_none = False
            else:
                images, shapes = images + _images(content), shapes + _shapes(content)
                found.nearly_none = images == 0 and shapes <= _BACKGROUND
        if _may_lack_glyphs(content, contents.one_byte):
            found.missing += _missing(content, contents.one_byte)
    return found


def count(pdf: bytes) -> Marks:
    """Counts what a PDF by Chromium paints; skips streams that cannot be read."""
    found = Marks()
    contents = Contents(pdf)
    for content, _ in contents.read(without=contents.masks()):
        found.glyphs += _glyphs(content)
        found.images += _images(content)
        found.shapes += _shapes(content)
    return found


def as_picture(look: Look, paper: Ink) -> int:
    """Returns how many characters are printed as part of a picture only: those under a CSS filter.

    Returns 0 where they are few, as in an ornament, and where the paper has about as many characters as the page.
    """
    if look.filtered < _ORNAMENT or (look.filtered < look.text * 0.1 and look.filtered < _ORNAMENT * 5):
        return 0
    return 0 if paper.marks.glyphs > look.text - look.filtered / 2 else look.filtered


def _glyphs(content: bytes) -> int:
    """Counts the glyphs without spaces. A text of several one-byte glyphs counts as half as many."""
    strings = _GLYPHS.findall(content)
    one_byte = 0
    if any(length % 4 for length in set(map(len, strings))):  # fonts with one byte for each glyph
        one_byte = sum(len(string) < 4 for string in strings)
        strings = [string[: len(string) & ~3] for string in strings]
    digits = b"".join(strings)
    text = bytes.fromhex(digits.decode()).decode("utf-16-be", "surrogatepass")  # one character for each glyph
    return len(digits) // 4 + one_byte - text.count(_SPACE)


def _images(content: bytes) -> int:
    return len(_IMAGE.findall(content))


def _shapes(content: bytes) -> int:
    return len(_PAINT.findall(content)) + content.count(_SHADING)


def _may_lack_glyphs(content: bytes, one_byte: set[bytes]) -> bool:
    """Returns whether a page content may show a `.notdef`. This is fast, and `_missing` is not."""
    begin, at = 0, content.find(_NOTDEF)
    while at >= 0:  # most of these are digits of a number, such as 9.0000153
        text = _GLYPHS.match(content, max(begin, content.rfind(b"<", begin, at)))
        if text is None or text.end() < at:
            begin = at + 1
        elif _NOTDEF in _parts(text[1], 4):
            return True
        else:
            begin = text.end()
        at = content.find(_NOTDEF, begin)
    if not one_byte or _NOTDEF_OF_TYPE3.search(content) is None:
        return False
    _, *parts = _FONT.split(content)  # the digits may be those of a glyph of two bytes
    texts = b"".join(text for font, text in zip(parts[::2], parts[1::2], strict=True) if font in one_byte)
    return _NOTDEF_OF_TYPE3.search(texts) is not None


def _missing(content: bytes, one_byte: set[bytes]) -> Counter[str]:
    """Counts the missing glyphs of a page content by the writing system of the characters that they stand for."""
    found: Counter[str] = Counter()
    meant = ""
    digits = 4
    for hexadecimal, literal, shown, font, end in _SHOWN.findall(content):
        if shown:
            if number := _parts(shown, digits).count(b"0" * digits):
                found[_script(meant)] += number
        elif font:
            digits = 2 if font in one_byte else 4
        elif hexadecimal:
            even = hexadecimal + b"0" * (len(hexadecimal) % 2)  # a missing last digit is 0 (ISO 32000-1, 7.3.4.3)
            meant = bytes.fromhex(even.decode()).decode("utf-16", "ignore")
        elif literal or end:
            meant = literal.decode("latin-1")
    return found


def _parts(digits: bytes, width: int) -> list[bytes]:
    """Splits a text into its glyphs of `width` digits each; drops a rest."""
    return [digits[place : place + width] for place in range(0, len(digits) - width + 1, width)]


def _script(text: str) -> str:
    """Returns the writing system of a text's first character, such as TIBETAN; UNKNOWN for an empty text."""
    if not text:
        return "UNKNOWN"
    if unicodedata.category(text[0]) == "Co":
        return "PRIVATE USE"
    return re.split(r"[ -]", unicodedata.name(text[0], "UNASSIGNED"))[0]
