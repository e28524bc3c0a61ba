"""Tests the search for broken-off content that the browser does not report: compressed bodies, and sources."""

from __future__ import annotations

import gzip
import io
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.render.network.compressed import Body
from functions.render.network.framing import Chunks, Framing, Length, UntilClose
from functions.render.page.source import _examine, breaks_off, holds_closed_roots

TEXT = random.Random(4).randbytes(3000) + b"text that is repeated " * 400


def packed(form: str) -> bytes:
    """Returns TEXT, compressed in one of the forms that servers send."""
    if form == "a named gzip":
        whole = io.BytesIO()
        with gzip.GzipFile("a name.html", "wb", fileobj=whole) as file:
            file.write(TEXT)
        return whole.getvalue()
    packer = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw deflate": -15}[form])
    return packer.compress(TEXT) + packer.flush()


def chunked(data: bytes, size: int, *, ended: bool = True) -> bytes:
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if ended else b"")


def is_cut(data: bytes, coding: str, step: int, framing: Framing | None = None) -> bool:
    body, framing = Body(coding), framing or UntilClose()
    for at in range(0, len(data), step):
        body.feed(framing.feed(data[at : at + step]))
    return body.is_cut


FORMS = ["gzip", "a named gzip", "deflate", "raw deflate"]


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)  # a busy machine is slow
@given(share=st.floats(0.001, 0.97), step=st.integers(1, 5000), size=st.integers(1, 5000))
def test_body_is_cut_exactly_if_its_data_end_early(form: str, share: float, step: int, size: int) -> None:
    coding = "gzip" if "gzip" in form else "deflate"
    whole = packed(form)
    part = whole[: max(1, int(len(whole) * share))]
    assert is_cut(part, coding, step)
    assert not is_cut(whole, coding, step)
    assert is_cut(chunked(part, size), coding, step, Chunks())
    assert not is_cut(chunked(whole, size), coding, step, Chunks())
    assert is_cut(whole, coding, step, Length(len(part)))
    assert not is_cut(whole + b"more", coding, step, Length(len(whole)))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_empty_and_uncompressed_bodies_are_not_cut(coding: str) -> None:
    assert not is_cut(b"", coding, 1)
    assert not is_cut(b"0\r\n\r\n", coding, 1, Chunks())
    assert not is_cut(b"\xff" * 5000, coding, 100)


def test_body_without_its_checksum_is_not_cut() -> None:
    assert not is_cut(packed("gzip")[:-8], "gzip", 100)
    assert not is_cut(packed("deflate")[:-4], "deflate", 100)


@settings(deadline=None)  # a busy machine is slow
@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_accepted_as_a_body(coding: str, data: bytes, step: int) -> None:
    assert is_cut(data, coding, step) in {True, False}


BROKEN = [
    b"<p>x<di",
    b"<p>x<a href='y",
    b"<p>x<!-- a comment",
    b"<p>x<script>let a = '<p>'",
    b"<style>p { color",
    b"<div><ul><li>x",
    b"<main><div><p>one</p></div><div><p>tw",
    b"<div title=\"a > b\"><section class='c'>x",
]
WHOLE = [
    b"",
    b"words",
    b"<p>one<p>two",
    b"<ul><li>one<li>two</ul>",
    b"<div>left open<p>x",
    b"<div><div>x</body>",
    b"<div><div><script>x</script></HTML>\n",
    b"<div></div></div><p>a < b && c > d",
    b"<a title=don't>x</a><p>it's",
    b"<!doctype html><html><body class=a><main><div>x</div></main>",
    b"<script>'<div><div><div>'</script><p>x",
    b"<!-- <div><div> --><p>x",
    b"<p>x<iframe src=y>",
    b"<p>x<textarea>",
    b"<DIV><DIV>x</div></div>",
    b"\xff\xfe<\0d\0i\0v\0>\0<\0d\0i\0v\0>\0",
]


@pytest.mark.parametrize("source", BROKEN)
def test_source_that_ends_in_the_middle_breaks_off(source: bytes) -> None:
    assert breaks_off(source)


@pytest.mark.parametrize("source", WHOLE)
def test_source_that_may_be_complete_does_not_break_off(source: bytes) -> None:
    assert not breaks_off(source)


@settings(deadline=None)  # a busy machine is slow
@given(st.lists(st.sampled_from([b"<", b">", b'"', b"'", b"div", b"/", b"!--", b"-->", b"script", b" ", b"=", b"a"])))
def test_any_text_is_accepted_as_a_source(parts: list[bytes]) -> None:
    source = b"".join(parts)
    assert breaks_off(source) in {True, False}
    assert not breaks_off(source + b"</body>")


def test_closed_roots_are_found_in_a_source() -> None:
    assert holds_closed_roots(b"<div><TEMPLATE id=a shadowRootMode='closed'>x")
    assert not holds_closed_roots(b"<template shadowrootmode=open>closed</template><template>x")


@pytest.mark.parametrize(
    ("source", "may_be"),
    [
        (b"<!doctype html><p>text</p>", False),
        (b"%PDF-1.7\n1 0 obj", True),
        (b"\n  %PDF-1.7", True),
        (b"<html><body>%PDF-1.7", True),
        (b"\xff\xfe%\0P\0D\0F\0-\0", True),
        (b"x" * 3_000_000, True),  # too long to examine
    ],
)
def test_source_without_a_pdf_header_is_no_pdf(source: bytes, may_be: bool) -> None:
    assert _examine(source).may_be_pdf is may_be
