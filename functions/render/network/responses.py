"""Reads servers' responses as Chromium does, and writes them again, so that their framing has one meaning.

The rules are those of Chromium's own parser (net/http: http_stream_parser.cc, http_util.cc, http_response_headers.cc),
so that the proxy refuses no page that a browser shows. h11 0.16 (0.2 MB, 0.007 s to import) is stricter. Of sixteen odd
heads that Chromium accepts, h11 refuses seven: a space before a colon, a line without a colon, bytes before the status
line, `gzip, chunked`, a Content-Length that is not a number, `HTTP/2 200`, and no status. It does not know HTTP/0.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from functions.render.network.wire import MAX_HEAD, TOKEN, BadMessage, Headers, encode, end_to_end

_SLOP = 4
"""Bytes that may precede the status line."""
_ENOUGH = _SLOP + len("http")
"""Bytes that are needed to know whether there is a status line."""
_HTTP_PORT = 80

_START = re.compile(rb".{0,%d}?http" % _SLOP, re.IGNORECASE | re.DOTALL)
_END = re.compile(rb"\n\r?\n")
_BREAKS = re.compile(r"[\r\n]+")
_VERSION = re.compile(r"http/([0-9])[^.]*\.([0-9])", re.IGNORECASE)
_STATUS = re.compile(r" *([0-9]*) *(.*)")
_DIGITS = re.compile(r"[0-9]{1,18}")
_SPACE = " \t"
_NO_BODY = {204, 205, 304}


@dataclass(frozen=True)
class Response:
    """The head of a response, written for the browser, and the first bytes of its body.

    `coding` is the content coding in lower case; it is empty if there is none or more than one. `length` is the length
    of the body in bytes, None if the head does not announce it.
    """

    status: int
    head: bytes
    rest: bytes
    coding: str = ""
    chunked: bool = False
    length: int | None = None


class ResponseReader:
    """Collects bytes from a server until the head of the final response is complete; drops informational responses."""

    def __init__(self, port: int) -> None:
        """Takes the server's port, because HTTP/0.9 is accepted on the standard port only."""
        self._port = port
        self._data = bytearray()
        self._looked_at = 0
        self._is_http = False

    def feed(self, data: bytes) -> Response | None:
        """Takes the next bytes; returns the response when its head is complete, else None.

        Args:
            data: The bytes; empty if the server has closed the connection.

        Raises:
            BadMessage: Chromium would not accept the response, or the server closed without one.
        """
        self._data += data
        while True:
            end = self._end(closed=not data)
            if end is None:
                return None
            if end == 0:
                return self._without_head()
            head, self._data = bytes(self._data[:end]), self._data[end:]
            self._looked_at, self._is_http = 0, True
            response = _parse(head, bytes(self._data), is_whole=_END.search(head[-3:]) is not None)
            if response.status == 101:
                raise BadMessage("an upgrade that was not requested", 502)
            if response.status >= 200:
                return response

    def _end(self, *, closed: bool) -> int | None:
        """Returns where the head ends; 0 if there is none, None if more bytes are needed to know it."""
        if closed and not self._data:
            raise BadMessage("no response", 502)
        start = _START.match(self._data)
        if start is None:
            return 0 if closed or len(self._data) >= _ENOUGH else None
        found = _END.search(self._data, max(start.end(), self._looked_at - 3))
        self._looked_at = len(self._data)
        if (found.end() if found is not None else len(self._data)) > MAX_HEAD:
            raise BadMessage("the response's head is too large", 502)
        if found is not None:
            return found.end()
        return len(self._data) if closed else None

    def _without_head(self) -> Response:
        """Returns a response without a head, of HTTP/0.9 or, on any port, of Shoutcast: all bytes are the body."""
        if self._is_http or (self._port != _HTTP_PORT and bytes(self._data[:3]).lower() != b"icy"):
            raise BadMessage("not a status line", 502)
        return Response(200, encode(["HTTP/1.1 200 OK", "Connection: close"]), bytes(self._data))


def _parse(head: bytes, rest: bytes, *, is_whole: bool) -> Response:
    if b"\0" in head:
        raise BadMessage("NUL in the head", 502)
    start = _START.match(head)
    assert start is not None  # noqa: S101 - the caller has found it
    first, *lines = _BREAKS.split(head[start.end() - len("http") :].decode("latin-1"))
    version = _VERSION.match(first)
    matched = _STATUS.match(first.partition(" ")[2])
    assert matched is not None  # noqa: S101 - it matches every line
    status = int(matched[1][:9]) if matched[1] else 200
    if not 100 <= status <= 999:
        raise BadMessage("not a status", 502)
    reason = matched[2].strip() if matched[1] else "OK"
    headers = _headers(lines)
    framing = _framing(headers, chunks=version is not None and (version[1], version[2]) >= ("1", "1"))
    if not is_whole:  # the server closed within the head, so there is no body
        framing = "Content-Length: 0"
    if status in _NO_BODY:
        framing, rest = "", b""
    kept = [
        f"{name}: {value}"
        for name, value in end_to_end(headers)
        if name.lower() not in {"content-length", "transfer-encoding"}
    ]
    status_line = f"HTTP/1.1 {status} {reason}".rstrip()
    written = encode([status_line, *kept, *([framing] if framing else []), "Connection: close"])
    codings = [coding.lower() for coding in _values(headers, "content-encoding")]
    length = int(framing.partition(" ")[2]) if framing.startswith("Content-Length") else None
    return Response(
        status,
        written,
        rest,
        coding=codings[0].removeprefix("x-") if len(codings) == 1 else "",
        chunked=framing.startswith("Transfer-Encoding"),
        length=length,
    )


def _headers(lines: list[str]) -> Headers:
    """Returns the headers; drops lines that are none, and joins a line that begins with a space to the line before."""
    joined: list[str] = []
    may_go_on = False
    for line in lines:
        if may_go_on and line[:1] in set(_SPACE):
            joined[-1] += " " + line.lstrip(_SPACE)
        elif line:
            joined.append(line)
            name, colon, _ = line.partition(":")
            may_go_on = bool(colon and name) and line[0] not in _SPACE
    headers = []
    for line in joined:
        name, colon, value = line.partition(":")
        name = name.rstrip(_SPACE)  # a line that begins with a space has no name
        if colon and TOKEN.fullmatch(name):
            headers.append((name, value.strip(_SPACE)))
    return headers


def _framing(headers: Headers, *, chunks: bool) -> str:
    """Returns the header that says where the body ends; empty if the body ends with the connection.

    Raises:
        BadMessage: There are several lengths, and they differ.
    """
    codings = _values(headers, "transfer-encoding")
    if chunks and "chunked" in {coding.lower() for coding in codings}:
        return "Transfer-Encoding: chunked"
    lengths = set(_values(headers, "content-length"))
    if len(lengths) > 1:
        raise BadMessage("several lengths that differ", 502)
    length = lengths.pop() if lengths else ""
    return f"Content-Length: {int(length)}" if _DIGITS.fullmatch(length) else ""


def _values(headers: Headers, wanted: str) -> list[str]:
    values = (value for name, value in headers if name.lower() == wanted)
    return [part.strip(_SPACE) for value in values for part in value.split(",")]
