"""The targets: each takes any bytes, and raises an error if the code under test breaks a promise about them."""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Callable, Iterator

from functions.render.network.compressed import Body
from functions.render.network.framing import Chunks, Framing, Length, UntilClose
from functions.render.network.responses import ResponseReader
from functions.render.network.wire import BadMessage, parse_request
from functions.render.page.look import Look
from functions.render.page.source import breaks_off, holds_closed_roots
from functions.render.pdf.document import NotPdf, page_count, page_count_of_any
from functions.render.pdf.ink import as_picture, ink
from functions.render.pdf.metadata import with_metadata
from urlshot.core.options import Metadata

_BAD = (b"\r", b"\n", b"\0")


def pdf(pages: int = 2, prev: bytes = b"", text: bytes = b"<0041> Tj") -> bytes:
    """Returns a small PDF in the form that Chromium writes, with a plain cross-reference table."""
    content = zlib.compress(text)
    objects = [
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Count %d /Kids [3 0 R]>>" % pages,
        b"<</Type /Page /Parent 2 0 R /Contents 4 0 R>>",
        b"<</Filter /FlateDecode /Length %d>> stream\n%b\nendstream" % (len(content), content),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, item)
    table = b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + table + b"trailer\n<</Size 5\n/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF" % (prev, len(body))


def request(data: bytes) -> None:
    """The proxy refuses a request's head, or writes one that has one meaning."""
    try:
        found = parse_request(data + b"\r\n\r\n")
    except BadMessage:
        return
    assert found.host and 0 < found.port < 65536
    if found.is_tunnel:
        return
    lines = _lines(found.head())
    assert re.fullmatch(rb"[!-~]+ /[^ \r\n]* HTTP/1\.1", lines[0])
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert names.count(b"host") == 1 and names.count(b"content-length") <= 1
    assert b"transfer-encoding" not in names
    assert (b"connection" in names) == (lines[-1] == b"Connection: close") == (not found.is_repeatable)


def response(data: bytes) -> None:
    """The proxy refuses a response, or writes a head that has one meaning, however the bytes arrive."""
    if not data:
        return
    port, step = (80 if data[0] < 0x80 else 8080), 1 + data[0] % 40
    whole = _response(data[1:], port, max(1, len(data)))
    parts = _response(data[1:], port, step)
    assert (whole is None) == (parts is None)
    if whole is None or parts is None:
        return
    assert whole == parts
    lines = _lines(whole)
    assert re.fullmatch(rb"HTTP/1\.1 [1-9][0-9]{2}( .*)?", lines[0], re.DOTALL)
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert b"proxy-status" not in names
    framed = names.count(b"content-length") + names.count(b"transfer-encoding") == 1
    assert (b"connection" not in names) <= (framed or lines[0][9:12] in {b"204", b"304"})


def body(data: bytes) -> None:
    """The check of a compressed body says the same, however the bytes arrive."""
    if len(data) < 4:
        return
    coding = ("gzip", "deflate")[data[0] & 1]
    found = set()
    for step in (len(data), 1 + data[1] % 30):
        checked = Body(coding)
        framing = _framing(data)
        with contextlib.suppress(BadMessage):
            for at in range(3, len(data), step):
                checked.feed(framing.feed(data[at : at + step]))
        if not isinstance(framing, Chunks) or framing.is_over:
            found.add((checked.is_cut, framing.is_over, framing.is_exact))
    assert len(found) <= 1


def framing(data: bytes) -> None:
    """The browser reads the contents and the end that the proxy read, however the bytes arrive."""
    if len(data) < 4:
        return
    found = set()
    for step in (len(data), 1 + data[1] % 30):
        read, written, again, content = _framing(data), b"", _framing(data), b""
        with contextlib.suppress(BadMessage):
            for at in range(3, len(data), step):
                was_over = read.is_over
                part = read.feed(data[at : at + step])
                content += part
                if not was_over:  # nothing is written after the end of a response
                    written += read.frame(part)
        assert again.feed(written) == content
        assert again.is_over == read.is_over
        assert again.is_exact or isinstance(read, UntilClose)
        if not isinstance(read, Chunks) or read.is_over:
            found.add((content, read.is_over, read.is_exact))
    assert len(found) <= 1


def pages(data: bytes) -> None:
    """A page count is positive or refused, and metadata never change it."""
    assert page_count_of_any(data) >= 0
    try:
        count = page_count(data)
    except NotPdf:
        return
    assert count > 0
    with contextlib.suppress(NotPdf):
        made = with_metadata(data, Metadata(author="(\\) >> endobj"), "\ud800 trailer startxref 0 %%EOF")
        assert made.startswith(data)
        with contextlib.suppress(NotPdf):
            assert page_count(made) == count


def marks(data: bytes) -> None:
    """Any page contents are counted, in a stream or as they are."""
    for file in (data, pdf(text=data)):
        found = ink(file)
        assert found.marks.glyphs >= 0 and found.marks.images >= 0 and found.marks.shapes >= 0
        assert not found.nearly_none or (found.marks.glyphs == found.marks.images == 0 and found.marks.shapes <= 2)
        assert all(name for name in found.missing)
        assert as_picture(Look(text=5000, filtered=3000), found) >= 0


def source(data: bytes) -> None:
    """Any document's source is examined, and an end tag makes it complete."""
    assert breaks_off(data) in {True, False}
    assert holds_closed_roots(data) in {True, False}
    assert not breaks_off(data + b"</body>")


def _lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n") and head.count(b"\r\n\r\n") == 1
    lines = head[:-4].split(b"\r\n")
    assert not any(character in line for line in lines for character in _BAD)
    return lines


def _framing(data: bytes) -> Framing:
    if data[0] & 2:
        return Chunks()
    return Length(data[2]) if data[0] & 4 else UntilClose()


def _response(data: bytes, port: int, step: int) -> bytes | None:
    """Returns the head for the browser; None if the response is refused."""
    reader = ResponseReader(port, keep=True)
    try:
        for at in range(0, len(data), step):
            if (found := reader.feed(data[at : at + step])) is not None:
                return found.head
        last = reader.feed(b"")
    except BadMessage:
        return None
    assert last is not None
    return last.head


TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": request, "response": response, "body": body, "framing": framing, "pages": pages, "marks": marks,
    "source": source,
}  # fmt: skip


def seeds(name: str) -> Iterator[bytes]:
    """Yields inputs to start from."""
    if name == "request":
        yield b"GET http://example.com:80/a?b HTTP/1.1\r\nHost: x\r\nConnection: close, a\r\nA: b"
        yield b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nProxy-Connection: keep-alive"
        yield b"POST http://user@example.com/ HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    elif name == "response":
        yield b"\0HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nA: b\r\n c\r\n\r\nhello"
        yield b"\0HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.0 404\nTransfer-Encoding: gzip, chunked\n\n0\r\n\r\n"
        yield b"\x80icy 200 OK\r\n\r\n"
        yield b"\1<html>no head"
    elif name in {"body", "framing"}:
        packed = gzip.compress(b"text " * 50)
        yield b"\0\5\0" + packed
        yield (
            b"\2\7\0"
            + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (packed[:9], packed[9:]))
            + b"0\r\n\r\n"
        )
        yield b"\5\7\x20" + zlib.compress(b"text " * 50)
    elif name == "pages":
        yield pdf()
        yield pdf(9) + b"\n/Type /ObjStm >>\nstream\n" + zlib.compress(b"<</Type /Pages /Count 7>>") + b"endstream"
        yield with_metadata(pdf(), Metadata(title="t"), "")
    elif name == "marks":
        yield b"<00410000> Tj (x) Tj /X5 Do f* /Span <</ActualText <FEFF0F40>>> BDC <0000> Tj EMC"
        yield b"/Span << /ActualText (a\\)b) >> BDC <0003> Tj EMC sh B S"
    else:
        yield b"<!doctype html><div title='a > b'><script>x</script><!-- c --><template shadowrootmode=closed>"
