"""Tests how the proxy reads responses: it accepts what Chromium accepts, and passes on heads with one meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.network.responses import Response, ResponseReader
from functions.render.network.wire import MAX_HEAD, BadMessage

CLOSE = b"Connection: close\r\n\r\n"


def read(data: bytes, port: int = 8080, *, step: int = 0) -> Response:
    """Reads the bytes of a server that then closes; `step` bytes at a time, or all at once if it is 0."""
    reader = ResponseReader(port)
    for at in range(0, len(data), step or len(data) or 1):
        part = data[at : at + step] if step else data
        response = reader.feed(part)
        if response is not None:
            return Response(response.status, response.head, response.rest + data[at + len(part) :])
    response = reader.feed(b"")
    assert response is not None
    return response


# The name of a quirk; the bytes from the server; the head for the browser without `Connection: close`; the body.
QUIRKS = {
    "plain": (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"body"),
    "bare LF": (b"HTTP/1.1 200 OK\nA: b\n\nbody", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"body"),
    "LF and CRLF mixed": (b"HTTP/1.1 200 OK\r\nA: b\n\r\nbody", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"body"),
    "a bare CR is a line's end": (b"HTTP/1.1 200 OK\rA: b\rC: d\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n", b""),
    "no headers": (b"HTTP/1.1 200 OK\r\n\r\nbody", b"HTTP/1.1 200 OK\r\n", b"body"),
    "no reason": (b"HTTP/1.1 404\r\nA: b\r\n\r\n", b"HTTP/1.1 404\r\nA: b\r\n", b""),
    "no status": (b"HTTP/1.1\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b""),
    "a status of words": (b"HTTP/1.1 fine\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b""),
    "a status of no class": (b"HTTP/1.1 999 Denied\r\n\r\n", b"HTTP/1.1 999 Denied\r\n", b""),
    "status and reason in one": (b"HTTP/1.1 404x y\r\n\r\n", b"HTTP/1.1 404 x y\r\n", b""),
    "small letters": (b"http/1.1 200 ok\r\n\r\n", b"HTTP/1.1 200 ok\r\n", b""),
    "another version": (b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b""),
    "no version": (b"HTTP 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b""),
    "junk first": (b"\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b""),
    "a folded line": (b"HTTP/1.1 200 OK\r\nA: b\r\n \t c\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b c\r\n", b""),
    "folded with nothing before": (b"HTTP/1.1 200 OK\r\n A: b\r\nC: d\r\n\r\n", b"HTTP/1.1 200 OK\r\nC: d\r\n", b""),
    "a space before the colon": (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b""),
    "a line without a colon": (b"HTTP/1.1 200 OK\r\nx\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b""),
    "names that are none": (b"HTTP/1.1 200 OK\r\n: x\r\nB c: x\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b""),
    "a value of other bytes": (b"HTTP/1.1 200\r\nA: \xc3\xa4\x01\r\n\r\n", b"HTTP/1.1 200\r\nA: \xc3\xa4\x01\r\n", b""),
    "hints first": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb", b"HTTP/1.1 200 OK\r\n", b"b"),
    "closed in the head": (b"HTTP/1.1 200 OK\r\nA: b", b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n", b""),
    "equal lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"ok",
    ),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", b"HTTP/1.1 200 OK\r\n", b"ok"),
    "a length beside chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9, 8\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
    ),
    "chunks of HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"ok",
    ),
    "another coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", b"HTTP/1.1 200 OK\r\n", b"ok"),
    "a body where there is none": (b"HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 304 x\r\n", b""),
    "speaking for the proxy": (
        b"HTTP/1.1 200 OK\r\nproxy-status : urlshot; error=x\r\nConnection: keep-alive, X\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ),
    "Shoutcast": (b"ICY 200 OK\r\n\r\nmusic", b"HTTP/1.1 200 OK\r\n", b"ICY 200 OK\r\n\r\nmusic"),
}  # fmt: skip


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize("quirk", QUIRKS)
def test_response_is_read_as_chromium_reads_it(quirk: str, step: int) -> None:
    sent, head, body = QUIRKS[quirk]
    response = read(sent, step=step)
    assert response.head == head + CLOSE
    if quirk != "a body where there is none" or not step:  # in small steps the body arrives after the head was returned
        assert response.rest == body


def test_http_0_9_is_accepted_on_the_standard_port_only() -> None:
    page = b"<h1>a page without a head</h1>"
    assert read(page, port=80) == Response(200, b"HTTP/1.1 200 OK\r\n" + CLOSE, page)
    assert read(b"short", port=80).rest == b"short"
    with pytest.raises(BadMessage):
        read(page, port=8080)
    with pytest.raises(BadMessage):  # the server has shown that it knows HTTP/1.1
        read(b"HTTP/1.1 103 Early Hints\r\n\r\n" + page, port=80)


def test_head_may_have_256_kilobytes() -> None:
    def head(size: int) -> bytes:
        start, end = b"HTTP/1.1 200 OK\r\nA: ", b"\r\n\r\n"
        return start + b"y" * (size - len(start) - len(end)) + end

    assert read(head(MAX_HEAD)).status == 200
    for step in (0, 50_000):
        with pytest.raises(BadMessage):
            read(head(MAX_HEAD + 1), step=step)
    with pytest.raises(BadMessage):
        ResponseReader(80).feed(b"HTTP/1.1 200 OK\r\nA: " + b"y" * MAX_HEAD)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"nonsense that is no head\r\n\r\n",
        b"12345HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
    ],
)
def test_response_that_chromium_refuses_is_refused(sent: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        read(sent)
    assert caught.value.status == 502


STATUS = b"HTTP/1.1 200 OK\r\n"
# The method of the request; the bytes from the server; whether the browser's and the server's connection stay open.
KEPT = {
    "a length": ("GET", STATUS + b"Content-Length: 2\r\n\r\nok", True, True),
    "chunks": ("GET", STATUS + b"Transfer-Encoding: chunked\r\n\r\n", True, True),
    "chunks by another spelling": ("GET", STATUS + b"transfer-encoding: Chunked\r\n\r\n", True, True),
    "keep-alive": ("GET", STATUS + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True, True),
    "no reason": ("GET", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", True, True),
    "HEAD": ("HEAD", STATUS + b"Content-Length: 2\r\n\r\n", True, True),
    "HEAD without a length": ("HEAD", STATUS + b"\r\n", True, True),
    "no content": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", True, True),
    "no content of length 0": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", True, True),
    "not modified": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True, True),
    "the server closes": ("GET", STATUS + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok", True, False),
    "HTTP/1.0": ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", True, False),
    "HTTP/1.2": ("GET", b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", True, False),
    "equal lengths": ("GET", STATUS + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", True, False),
    "equal lengths in one line": ("GET", STATUS + b"Content-Length: 2, 2\r\n\r\nok", True, False),
    "a length beside chunks": (
        "GET", STATUS + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", True, False,
    ),
    "two codings": ("GET", STATUS + b"Transfer-Encoding: gzip, chunked\r\n\r\n", True, False),
    "chunked twice": ("GET", STATUS + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", True, False),
    "a coding beside a length": (
        "GET", STATUS + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", True, False,
    ),
    "a bare LF": ("GET", STATUS + b"Content-Length: 2\n\r\nok", True, False),
    "a bare CR": ("GET", STATUS + b"A: b\rContent-Length: 2\r\n\r\nok", True, False),
    "a space before the colon": ("GET", STATUS + b"Content-Length : 2\r\n\r\nok", True, False),
    "a folded line": ("GET", STATUS + b"Content-Length: 2\r\nA: b\r\n c\r\n\r\nok", True, False),
    "a line without a colon": ("GET", STATUS + b"Content-Length: 2\r\nx\r\n\r\nok", True, False),
    "junk first": ("GET", b"\r\n" + STATUS + b"Content-Length: 2\r\n\r\nok", True, False),
    "hints first": (
        "GET", b"HTTP/1.1 103 Early\r\n\r\n" + STATUS + b"Content-Length: 2\r\n\r\nok", True, False,
    ),
    "no content with a body": ("GET", b"HTTP/1.1 204 x\r\n\r\nok", True, False),
    "no content of another length": ("GET", b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\n", True, False),
    "no content in chunks": ("GET", b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", True, False),
    "HEAD with a body": ("HEAD", STATUS + b"Content-Length: 2\r\n\r\nok", True, False),
    "HEAD of chunks": ("HEAD", STATUS + b"Transfer-Encoding: chunked\r\n\r\n", True, False),
    "no framing": ("GET", STATUS + b"\r\nok", False, False),
    "a length that is none": ("GET", STATUS + b"Content-Length: +2\r\n\r\nok", False, False),
    "another coding": ("GET", STATUS + b"Transfer-Encoding: identity\r\n\r\nok", False, False),
    "reset content": ("GET", b"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", False, False),
    "closed in the head": ("GET", STATUS + b"Content-Length: 2\r\n", True, False),
    "Shoutcast": ("GET", b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", False, False),
}  # fmt: skip


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("case", KEPT)
def test_connection_stays_open_only_after_a_clear_end(case: str, keep: bool) -> None:
    method, sent, browser, server = KEPT[case]
    reader = ResponseReader(8080, method, keep=keep)
    response = reader.feed(sent) or reader.feed(b"")
    assert response is not None
    assert (response.keeps, response.is_exact) == (browser and keep, server)
    assert (CLOSE in response.head) == (not response.keeps)


fragments = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0", b"http", b" 304", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b":",
     b", ", b"Content-Length", b"Transfer-Encoding", b"chunked", b"5", b"A: b", b"Connection: close",
     b"Proxy-Status: x", b"\xe9"]
)  # fmt: skip


@given(
    st.one_of(st.binary(max_size=300), st.lists(fragments, max_size=25).map(b"".join)),
    st.booleans(),
    st.integers(0, 5),
)
def test_any_bytes_are_refused_or_become_one_clean_head(noise: bytes, starts: bool, step: int) -> None:
    data = b"HTTP/1.1 200 OK\r\n" * starts + noise
    try:
        response = read(data, port=80, step=step)
    except BadMessage:
        return
    head = response.head
    assert head.endswith(b"\r\n" + CLOSE)
    assert head.count(b"\r\n\r\n") == 1
    lines = head[:-4].split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.1 [1-9][0-9]{2}( .*)?", lines[0], re.DOTALL)
    assert not any(character in line for line in lines for character in (b"\r", b"\n", b"\0"))
    assert all(re.match(rb"[!-~]+: ", line) or re.fullmatch(rb"[!-~]+:\s*", line) for line in lines[1:])
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert names.count(b"connection") == 1
    assert b"proxy-status" not in names
    # The result does not depend on the steps in which the bytes arrive.
    assert read(data, port=80).head == head
