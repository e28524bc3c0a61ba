"""Tests how the marks on the paper are counted, in page contents as Chromium writes them."""

from __future__ import annotations

import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.pdf import ink as counting
from functions.render.pdf.ink import Ink, ink

OPERATORS = [
    "<0041> Tj", "5 0 Td <0003> Tj", "<000300410003> Tj", "<41> Tj", "<4142> Tj", "<D83DDE00> Tj", "<DE00> Tj",
    "f", "f*", "S", "B", "B*", "/P0 sh", "/X3 Do", "1 0 0 rg", "/P <</MCID 0>>BDC", "EMC", "0 0 9 9 re",
    "/Span <</ActualText <FEFF0F40> >> BDC", "/Span <</ActualText (f) >> BDC",
]  # fmt: skip


def pdf_of(content: bytes, head: str = "/Filter /FlateDecode\n/Length {}") -> bytes:
    """Returns a part of a PDF: an object without a stream, and one with this content."""
    packed = zlib.compress(content)
    return (
        b"%PDF-1.4\n3 0 obj\n<</ca 1>>\nendobj\n6 0 obj\n<<"
        + head.format(len(packed)).encode()
        + (b">> stream\n" + packed + b"\nendstream\nendobj\n")
    )


@given(st.lists(st.sampled_from(OPERATORS), max_size=30))
def test_both_ways_to_count_agree(lines: list[str]) -> None:
    content = "\n".join(["q", *lines, "Q", ""]).encode()
    slow = Ink()
    counting._read(content, slow)
    assert ink(pdf_of(content)) == slow


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        (["<00410003> Tj", "<0042> Tj", "f", "/X1 Do"], Ink(glyphs=2, images=1, shapes=1)),
        (["f", "1 0 0 rg", "f*", "2 w", "S", "3 w", "/P0 sh"], Ink(shapes=4)),
        (
            ["/Span <</ActualText <FEFF0F40> >> BDC", "<00000041> Tj", "EMC"],
            Ink(glyphs=2, missing=Counter({"TIBETAN": 1})),
        ),
    ],
)
def test_marks_are_counted(lines: list[str], counts: Ink) -> None:
    assert ink(pdf_of("\n".join(["q", *lines, "Q", ""]).encode())) == counts


@pytest.mark.parametrize(
    "head",
    [
        "/Length1 9 /Filter /FlateDecode /Length {}",  # a font file
        "/Type /XObject /Subtype /Image /Filter /FlateDecode /Length {}",
        "/Length {}",  # not compressed
    ],
)
def test_other_streams_are_not_counted(head: str) -> None:
    assert ink(pdf_of(b"q\n<0041> Tj\nf\n", head)) == Ink()


def test_form_is_counted() -> None:
    head = "/Type /XObject /Subtype /Form /Resources <</Font 5 0 R>> /Filter /FlateDecode /Length {}"
    assert ink(pdf_of(b"q\n<0041> Tj\nf\n", head)) == Ink(glyphs=1, shapes=1)
