"""Reads servers' responses as Chromium does, and writes them again, so that their framing has one meaning.

The rules are those of Chromium's own parser (net/http: http_stream_parser.cc, http_util.cc, http_response_headers.cc),
so that the proxy refuses no page that a browser shows. h11 0.16 (0.2 MB, 0.007 s to import) is stricter. Of sixteen odd
heads that Chromium accepts, h11 refuses seven: a space before a colon, a line without a colon, bytes before the status
line, `gzip, chunked`, a Content-Length that is not a number, `HTTP/2 200`, and no status. It does not know HTTP/0.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from functions.render.network.wire import LINE, MAX_HEAD, TOKEN, BadMessage, Headers, encode, end_to_end, header_lines

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
_STRICT = re.compile(rf"HTTP/1\.1 ([1-9][0-9]{{2}})(?: ([^\r\n]*+))?\r\n((?:{LINE})*+)\r\n")
"""A head that all parsers read alike; most heads are such."""
_SPACE = " \t"
_NO_BODY = {204, 205, 304}
_FRAMING = {"content-length", "transfer-encoding"}
_DECIDING = (*_FRAMING, "connection", "content-encoding")


@dataclass(frozen=True)
class Response:
    """The head of a response, written for the browser, and the first bytes of its body.

    Attributes:
        status: The status code.
        head: The head for the browser. Without `Connection: close` the framing says where the response ends.
        rest: The bytes that came after the head.
        coding: The content coding in lower case; empty if there is none or more than one.
        chunked: Whether the body has the transfer coding `chunked`.
        length: The length of the body in bytes; None if the head does not announce it.
        has_body: False if the status or the method of the request excludes a body.
        keeps: Whether the browser may send another request after the response; the head says the same.
        is_exact: Whether all parsers read the head alike and the server keeps the connection.
    """

    status: int
    head: bytes
    rest: bytes
    coding: str = ""
    chunked: bool = False
    length: int | None = None
    has_body: bool = True
    keeps: bool = False
    is_exact: bool = False


class ResponseReader:
    """Collects bytes from a server until the head of the final response is complete; drops informational responses."""

    def __init__(self, port: int, method: str = "GET", *, keep: bool = False) -> None:
        """Begins to read the response to one request.

        Args:
            port: The server's port, because HTTP/0.9 is accepted on the standard port only.
            method: The method of the request, because a response to HEAD has no body.
            keep: Whether the connection to the browser may stay open after the response.
        """
        self._port = port
        self._is_head = method == "HEAD"
        self._keep = keep
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
            is_first, self._looked_at, self._is_http = not self._is_http, 0, True
            response = self._parse(head, bytes(self._data), is_first=is_first)
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

    def _parse(self, head: bytes, rest: bytes, *, is_first: bool) -> Response:
        if b"\0" in head:
            raise BadMessage("NUL in the head", 502)
        strict = _STRICT.fullmatch(head.decode("latin-1"))
        if strict is not None:
            status, reason, chunks, headers = int(strict[1]), (strict[2] or "").strip(), True, header_lines(strict[3])
        else:
            status, reason, chunks, headers = _lenient(head)
        fields = _fields(headers)
        framing = _framing(fields, chunks=chunks)
        if _END.search(head[-3:]) is None:  # the server closed within the head, so there is no body
            framing = "Content-Length: 0"
        has_body = status not in _NO_BODY and not self._is_head
        is_exact = strict is not None and is_first and _is_exact(fields, status, has_body=has_body)
        if not has_body:
            is_exact, rest = is_exact and not rest, b""
        if status in _NO_BODY:
            framing = ""
        keep = self._keep and status != 205 and bool(framing or not has_body)
        lines = [f"HTTP/1.1 {status} {reason}".rstrip()]
        lines += [f"{name}: {value}" for name, value in end_to_end(headers) if name.lower() not in _FRAMING]
        lines += [framing] if framing else []
        codings = [coding.lower() for coding in fields["content-encoding"]]
        return Response(
            status,
            encode(lines if keep else [*lines, "Connection: close"]),
            rest,
            coding=codings[0].removeprefix("x-") if len(codings) == 1 else "",
            chunked=framing.startswith("Transfer-Encoding"),
            length=int(framing.partition(" ")[2]) if framing.startswith("Content-Length") else None,
            has_body=has_body,
            keeps=keep,
            is_exact=is_exact,
        )


def _lenient(head: bytes) -> tuple[int, str, bool, Headers]:
    """Reads a head that is not strict; returns the status, the reason, whether chunks are allowed, and the headers."""
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
    return status, reason, version is not None and (version[1], version[2]) >= ("1", "1"), _headers(lines)


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


def _fields(headers: Headers) -> dict[str, list[str]]:
    """Returns the values of the headers that decide about the body and the connection."""
    fields: dict[str, list[str]] = {name: [] for name in _DECIDING}
    for name, value in headers:
        found = fields.get(name.lower())
        if found is not None:
            found += [part.strip(_SPACE) for part in value.split(",")]
    return fields


def _framing(fields: dict[str, list[str]], *, chunks: bool) -> str:
    """Returns the header that says where the body ends; empty if the body ends with the connection.

    Raises:
        BadMessage: There are several lengths, and they differ.
    """
    if chunks and "chunked" in {coding.lower() for coding in fields["transfer-encoding"]}:
        return "Transfer-Encoding: chunked"
    lengths = set(fields["content-length"])
    if len(lengths) > 1:
        raise BadMessage("several lengths that differ", 502)
    length = lengths.pop() if lengths else ""
    return f"Content-Length: {int(length)}" if _DIGITS.fullmatch(length) else ""


def _is_exact(fields: dict[str, list[str]], status: int, *, has_body: bool) -> bool:
    """Returns whether the server keeps the connection, and all parsers agree where the body ends (RFC 9112, 6.3)."""
    codings, lengths = fields["transfer-encoding"], fields["content-length"]
    if status == 205 or "close" in {word.lower() for word in fields["connection"]}:
        return False
    if codings:
        return has_body and not lengths and len(codings) == 1 and codings[0].lower() == "chunked"
    if lengths:
        return len(lengths) == 1 and bool(_DIGITS.fullmatch(lengths[0])) and (status != 204 or int(lengths[0]) == 0)
    return not has_body
