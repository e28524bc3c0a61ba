"""Tests where bodies end: the proxy decodes what Chromium decodes, and keeps a connection after a clear end only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.network.framing import Chunks, Length, UntilClose
from functions.render.network.wire import BadMessage

END = b"0\r\n\r\n"

# The bytes from the server; the contents; whether the end has come; whether the connection may stay open.
CHUNKED = {
    "one chunk": (b"2\r\nok\r\n" + END, b"ok", True, True),
    "two chunks": (b"2\r\nok\r\nA\r\n0123456789\r\n" + END, b"ok0123456789", True, True),
    "no contents": (END, b"", True, True),
    "zeros first": (b"002\r\nok\r\n00\r\n\r\n", b"ok", True, True),
    "an extension": (b"2;a=b\r\nok\r\n" + END, b"ok", True, False),
    "spaces after the size": (b"2  \r\nok\r\n" + END, b"ok", True, False),
    "bare LF": (b"2\nok\n0\n\n", b"ok", True, False),
    "a bare LF after a chunk": (b"3\r\nok\r\n" + END, b"ok\r", True, False),
    "trailers": (b"2\r\nok\r\n0\r\nContent-Length: 9\r\nA: b\r\n\r\n", b"ok", True, False),
    "a second response": (b"2\r\nok\r\n" + END + b"HTTP/1.1 200 OK\r\n\r\n", b"ok", True, False),
    "one byte more": (END + b"\n", b"", True, False),
    "no end": (b"2\r\nok\r\n0\r\n", b"ok", False, True),
    "no end of the chunk": (b"5\r\nok", b"ok", False, True),
    "trailers without an end": (b"0\r\nA: b\r\n", b"", False, False),
}
BAD = {
    "a size that is none": b"x\r\nok\r\n" + END,
    "a sign": b"+2\r\nok\r\n" + END,
    "a negative size": b"-2\r\nok\r\n" + END,
    "a prefix": b"0x2\r\nok\r\n" + END,
    "a space first": b" 2\r\nok\r\n" + END,
    "an underscore": b"1_0\r\n0123456789abcdef\r\n" + END,
    "a tab after the size": b"2\t\r\nok\r\n" + END,
    "no size": b"\r\nok\r\n" + END,
    "an extension alone": b";a=b\r\nok\r\n" + END,
    "a size of 64 bits": b"ffffffffffffffff\r\nok\r\n" + END,
    "a size of more": b"1" + b"0" * 40 + b"\r\nok\r\n" + END,
    "a chunk that is longer": b"2\r\nokay\r\n" + END,
    "no line break after a chunk": b"2\r\nok0\r\n\r\n",
    "a line that is too long": b"2;" + b"a" * 17_000,
}


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("case", CHUNKED)
def test_chunked_body_is_decoded_and_framed_again(case: str, step: int) -> None:
    sent, content, is_over, is_exact = CHUNKED[case]
    chunks, got, framed = Chunks(), b"", b""
    for at in range(0, len(sent), step):
        part = chunks.feed(sent[at : at + step])
        got += part
        framed += chunks.frame(part)
        if chunks.is_over:  # an exchange stops here, except for what came in the same step
            break
    assert (got, chunks.is_over) == (content, is_over)
    if step == 1000:
        assert chunks.is_exact == is_exact
    browser = Chunks()
    assert browser.feed(framed) == content
    assert (browser.is_over, browser.is_exact) == (is_over, True)


@pytest.mark.parametrize("step", [1, 5, 20_000])
@pytest.mark.parametrize("case", BAD)
def test_invalid_chunk_is_refused(case: str, step: int) -> None:
    chunks, sent = Chunks(), BAD[case]
    with pytest.raises(BadMessage):
        b"".join(chunks.feed(sent[at : at + step]) for at in range(0, len(sent), step))
    assert not chunks.is_over


@given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=20), st.integers(1, 60))
def test_any_chunks_arrive_whole_and_nothing_after_them(parts: list[bytes], more: bytes, step: int) -> None:
    sent = b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts) + END + more
    chunks = Chunks()
    got = b"".join(chunks.feed(sent[at : at + step]) for at in range(0, len(sent), step))
    assert got == b"".join(parts)
    assert (chunks.is_over, chunks.is_exact) == (True, not more)


@given(st.integers(0, 200), st.binary(max_size=200), st.integers(1, 60))
def test_body_never_exceeds_its_length(length: int, sent: bytes, step: int) -> None:
    body = Length(length)
    got = b"".join(body.feed(sent[at : at + step]) for at in range(0, len(sent), step))
    assert got == sent[:length]
    assert (body.is_over, body.is_exact) == (len(sent) >= length, len(sent) <= length)


def test_body_without_framing_never_ends_by_itself() -> None:
    body = UntilClose()
    assert body.feed(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert (body.is_over, body.is_exact) == (False, False)
