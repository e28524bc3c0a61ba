"""Tests what the marks on the paper tell, in page contents as Chromium writes them."""

from __future__ import annotations

import re
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.pdf.contents import MOST_BYTES, Contents
from functions.render.pdf.ink import Marks, count, ink

OPERATORS = [
    "<0041> Tj", "5 0 Td <0003> Tj", "<000300410003> Tj", "<41> Tj", "<4142> Tj", "<D83DDE00> Tj", "<DE00> Tj",
    "<0000> Tj", "<00410000> Tj", "<00300004> Tj", "<00> Tj", "<4100> Tj", "<000341> Tj", "9.0000153 0 Td",
    "/F7 16 Tf", "/F8 1.5 Tf", "<0000>", "BT", "ET",
    "f", "f*", "S", "B", "B*", "/P0 sh", "/X3 Do", "1 0 0 rg", "/P <</MCID 0>>BDC", "EMC", "0 0 9 9 re",
    "/Span<</ActualText <FEFF0F40> >> BDC", "/Span<</ActualText (f) >> BDC",
]  # fmt: skip
"""Font 7 is a Type 3 font."""
PAGE = "/Filter /FlateDecode\n/Length {}"
FORM = (
    "/Type /XObject\n/Subtype /Form\n/Resources <</ProcSet [/PDF]\n/Font <</F8 8 0 R>>\n/XObject <</X{} {} 0 R>>>>\n"
    "/Group <</Type /Group\n/S /Transparency>>\n"
)


def pdf_of(content: bytes, head: str = PAGE, more: bytes = b"", *, packed: bool = True) -> bytes:
    """Returns a PDF without a table: a page with this content, a Type 3 font with a glyph, and `more` objects."""
    data = zlib.compress(content) if packed else content
    glyph = zlib.compress(b"1000 0 0 0 9 9 d1\nf\nf\nf\n")
    return (
        b"%PDF-1.4\n3 0 obj\n<</ca 1>>\nendobj\n"
        + stream(6, head.format(len(data)), data)
        + b"5 0 obj\n<</Type /Page\n/Contents 6 0 R>>\nendobj\n"
        + more
        + stream(12, PAGE.format(len(glyph)), glyph)
        + b"7 0 obj\n<</Type /Font\n/Subtype /Type3\n/FirstChar 0>>\nendobj\n"
        + b"8 0 obj\n<</Type /Font\n/Subtype /Type0>>\nendobj\n"
    )


def stream(number: int, head: str, data: bytes) -> bytes:
    return f"{number} 0 obj\n<<{head}>> stream\n".encode() + data + b"\nendstream\nendobj\n"


def form(number: int, content: bytes, uses: int = 99) -> bytes:
    data = zlib.compress(content)
    return stream(number, FORM.format(uses, uses) + PAGE.format(len(data)), data)


def read(lines: list[str]) -> tuple[Marks, Counter[str]]:
    """Reads a page content line by line, and decides nothing else than the meaning of a line."""
    marks, missing = Marks(), Counter[str]()
    meant, one_byte = "UNKNOWN", False
    for line in lines:
        if font := re.fullmatch(r"/F(\d+) \S+ Tf", line):
            one_byte = font[1] == "7"
        elif "ActualText" in line:
            meant = "TIBETAN" if "0F40" in line else "LATIN"
        elif line == "EMC":
            meant = "UNKNOWN"
        elif text := re.search(r"<(\w+)> Tj", line):
            digits = text[1]
            wide = [digits[place : place + 4] for place in range(0, len(digits) - 3, 4)] or [digits]
            marks.glyphs += sum(glyph != "0003" for glyph in wide)
            glyphs = [digits[place : place + 2] for place in range(0, len(digits), 2)] if one_byte else wide
            missing[meant] += sum(glyph == ("00" if one_byte else "0000") for glyph in glyphs)
        elif line.endswith(" Do"):
            marks.images += 1
        elif line in {"f", "f*", "S", "B", "B*"} or line.endswith(" sh"):
            marks.shapes += 1
    return marks, +missing


@given(st.lists(st.lists(st.sampled_from(OPERATORS), max_size=30), min_size=1, max_size=3))
def test_fast_search_and_line_by_line_reading_agree(parts: list[list[str]]) -> None:
    contents = ["\n".join(["q", *lines, "Q", ""]).encode() for lines in parts]
    pdf = pdf_of(contents[0], more=b"".join(form(20 + n, content) for n, content in enumerate(contents[1:])))
    found = [read(lines) for lines in parts]
    marks = Marks(
        sum(marks.glyphs for marks, _ in found),
        sum(marks.images for marks, _ in found),
        sum(marks.shapes for marks, _ in found),
    )
    paper = ink(pdf)
    assert paper.nearly_none == (marks.glyphs == 0 and marks.images == 0 and marks.shapes <= 2)
    assert paper.missing == sum((missing for _, missing in found), Counter[str]())
    assert paper.marks == count(pdf) == marks


@pytest.mark.parametrize(
    ("lines", "marks"),
    [
        (["<00410003> Tj", "<0042> Tj", "f", "/X1 Do"], Marks(glyphs=2, images=1, shapes=1)),
        (["f", "1 0 0 rg", "f*", "2 w", "S", "3 w", "/P0 sh"], Marks(shapes=4)),
        (["/Span <</ActualText <FEFF0F40> >> BDC", "<00000041> Tj", "EMC"], Marks(glyphs=2)),
    ],
)
def test_marks_are_counted(lines: list[str], marks: Marks) -> None:
    assert ink(pdf_of("\n".join(["q", *lines, "Q", ""]).encode())).marks == marks


@pytest.mark.parametrize(
    ("lines", "nearly_none"),
    [
        ([], True),
        (["<0003> Tj", "<00030003> Tj"], True),  # spaces
        (["f", "S"], True),  # a background
        (["f", "S", "/P0 sh"], False),
        (["/X1 Do"], False),
        (["<00030041> Tj"], False),
        (["<03> Tj"], False),
    ],
)
def test_paper_with_spaces_or_a_background_is_nearly_empty(lines: list[str], nearly_none: bool) -> None:
    assert ink(pdf_of("\n".join(["q", *lines, "Q", ""]).encode())).nearly_none is nearly_none


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (["/F8 9 Tf", "/Span <</ActualText <FEFF0F40> >> BDC", "<00000041> Tj", "EMC"], {"TIBETAN": 1}),
        (["/F7 9 Tf", "/Span<</ActualText <FEFF0F40> >> BDC", "<00> Tj", "EMC"], {"TIBETAN": 1}),
        (["/F7 9 Tf", "<4100> Tj"], {"UNKNOWN": 1}),
        (["9.0000153 0 Td <0041> Tj", "<00410000> Tj"], {"UNKNOWN": 1}),
        (["/F7 9 Tf", "<4110> Tj", "/F8 9 Tf", "<0041> Tj"], {}),  # the text with 00 is in another font
        (["/F8 9 Tf", "<00300004> Tj", "9.0000153 0 Td <0041> Tj", "<0000>"], {}),
    ],
)  # fmt: skip
def test_characters_without_a_glyph_are_found_in_every_font(lines: list[str], missing: dict[str, int]) -> None:
    content = "\n".join(["q", *lines, "Q", ""]).encode()
    assert ink(pdf_of(content)).missing == missing
    assert ink(pdf_of(b"q\n/X20 Do\nQ\n", more=form(20, content))).missing == missing


@pytest.mark.parametrize(
    "head",
    [
        "/Length1 9 /Filter /FlateDecode /Length {}",  # a font file
        "/Type /XObject /Subtype /Image /Filter /FlateDecode /Length {}",
        "/Filter /FlateDecode /Length {}",  # the glyph of a font
    ],
)
def test_other_streams_are_not_counted(head: str) -> None:
    data = zlib.compress(b"q\n<0041> Tj\nf\n")
    paper = ink(pdf_of(b"", more=stream(20, head.format(len(data)), data)))
    assert paper.nearly_none
    assert paper.marks == Marks()


def test_content_without_compression_is_counted() -> None:
    assert count(pdf_of(b"q\n<0041> Tj\nf\n", "/Length {}", packed=False)) == Marks(glyphs=1, shapes=1)


def test_forms_are_counted_and_masks_are_not() -> None:
    content = b"q\n<0041> Tj\nf\n"
    group = form(20, content)
    assert count(pdf_of(b"q\n/X20 Do\n", more=group)) == Marks(glyphs=1, images=1, shapes=1)
    mask = b"30 0 obj\n<</Type /ExtGState\n/SMask <</Type /Mask\n/S /Alpha\n/G 21 0 R>>>>\nendobj\n"
    assert count(pdf_of(content, more=group + form(21, b"/X20 Do\n", uses=20) + mask)) == Marks(glyphs=1, shapes=1)


@pytest.mark.parametrize(("head", "packed"), [(PAGE, True), ("/Length {}", False)])
def test_contents_are_read_up_to_the_limit(head: str, packed: bool) -> None:
    pdf = pdf_of(b" " * (MOST_BYTES + 1), head, form(20, b"q\n<0041> Tj\n"), packed=packed)
    assert [len(content) for content, _ in Contents(pdf).read()] == [MOST_BYTES]


def test_scale_is_that_of_the_page_and_not_of_a_form() -> None:
    def scaled(scale: str) -> bytes:
        return f".24 0 0 -.24 0 842 cm\nq\n{scale} 0 0 {scale} 115.625 115.625 cm\n".encode()

    pdf = form(20, scaled("3.125")) + pdf_of(scaled("1.5625"), more=form(21, scaled("6.25")))
    assert ink(pdf).scale == 0.5
