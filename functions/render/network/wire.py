"""Reads the HTTP/1.1 requests of the browser strictly, and writes them again for the server.

A request that two parsers could read differently is refused (RFC 9112). `responses` reads the answers of servers,
and says why neither module uses h11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD = 256 * 1024
"""Largest head of a request or response, in bytes; Chromium has the same limit (http_stream_parser.h)."""

Headers = list[tuple[str, str]]

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]"
TOKEN = re.compile(_NAME + "+")
LINE = rf"{_NAME}++:[^\r\n\0]*+\r\n"
"""The pattern of a header line that all parsers read alike."""
_LINE = re.compile(rf"({_NAME}++):([^\r\n\0]*+)\r\n")
# Parsers differ on a bare CR, LF or NUL, on spaces before a colon and on folded lines (RFC 9112, section 5).
_HEAD = re.compile(rf"([^\r\n\0]*+)\r\n((?:{LINE})*+)\r\n")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+")
_PORT = re.compile(r"[0-9]{1,5}")

# RFC 9110, section 7.6.1, and older headers that servers still send. The code for bodies handles Transfer-Encoding.
_HOP_BY_HOP = {
    "connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade",
    "proxy-authenticate", "proxy-authorization", "proxy-status", "expect",
}  # fmt: skip
_KEPT = {"content-length", "transfer-encoding", "content-type", "host", "cookie", "set-cookie"}
"""Headers that a server cannot remove by naming them in Connection."""


class BadMessage(ValueError):
    """The head may not be passed on; `status` is the status for the browser."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request to the proxy.

    Attributes:
        method: The method, as the browser spelled it.
        host: The host, without the brackets of IPv6.
        port: The TCP port.
        path: The path and the query; empty for CONNECT.
        headers: The headers.
        length: The length of the body in bytes.
        may_keep: Whether the browser may send another request on the connection.
    """

    method: str
    host: str
    port: int
    path: str
    headers: Headers
    length: int
    may_keep: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no harm to send the request twice (RFC 9110, section 9.2.2); it has no body."""
        return self.method in {"GET", "HEAD"} and self.length == 0

    @property
    def is_tunnel(self) -> bool:
        return self.method == "CONNECT"

    @property
    def url(self) -> str:
        """The requested URL, as Chromium spells it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}{'' if self.port == 80 else f':{self.port}'}{self.path}"

    def head(self) -> bytes:
        """Returns the head for the server: origin form and one Host header.

        A connection to a server has several requests only if all of them are repeatable.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if self.port == 80 else f"{host}:{self.port}"
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in end_to_end(self.headers) if name.lower() != "host"]
        return encode(lines if self.is_repeatable else [*lines, "Connection: close"])


def parse_request(head: bytes) -> Request:
    """Reads a request's head, including its empty line.

    Raises:
        BadMessage: The head is not HTTP/1.x, its target is neither for CONNECT nor an `http://` URL, or the length of
            the body is ambiguous.
    """
    first, headers = _parse(head)
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in {"HTTP/1.1", "HTTP/1.0"} or not TOKEN.fullmatch(parts[0]):
        raise BadMessage("not a request line")
    method, target, _ = parts
    if method == "CONNECT":
        host, port = _authority(target, None)
        return Request(method, host, port, "", headers, 0)
    if not target.lower().startswith("http://"):
        raise BadMessage("not an absolute http target")
    rest = target[len("http://") :].partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    host, port = _authority(rest[:end], 80)
    path = rest[end:] if rest[end:].startswith("/") else "/" + rest[end:]
    closes = "close" in words(headers, "connection", "proxy-connection")
    return Request(method, host, port, path, headers, _length(headers), parts[2] == "HTTP/1.1" and not closes)


def end_to_end(headers: Headers) -> Headers:
    """Returns the headers without those that apply to one connection only."""
    dropped = _HOP_BY_HOP | (words(headers, "connection") - _KEPT)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def header_lines(text: str) -> Headers:
    """Returns the headers in lines that match `LINE`."""
    return [(name, value.strip(" \t")) for name, value in _LINE.findall(text)]


def words(headers: Headers, *wanted: str) -> set[str]:
    """Returns the words of all headers with these names, in lower case; they are separated by commas."""
    values = [value for name, value in headers if name.lower() in wanted]
    return {word.strip(" \t").lower() for value in values for word in value.split(",")}


def refusal(status: int, reason: str) -> bytes:
    """Returns an answer of the proxy itself, marked by Proxy-Status (RFC 9209), which no server's answer may carry."""
    texts = {400: "Bad Request", 403: "Forbidden", 411: "Length Required", 431: "Header Fields Too Large"}
    text = texts.get(status, "Bad Gateway")
    head = [f"HTTP/1.1 {status} {text}", f"Proxy-Status: urlshot; error={reason}", "Content-Length: 0"]
    return encode([*head, "Connection: close"])


def _parse(head: bytes) -> tuple[str, Headers]:
    if not head.endswith(b"\r\n\r\n") or len(head) > MAX_HEAD:
        raise BadMessage("head is incomplete or too large", 431)
    matched = _HEAD.fullmatch(head.decode("latin-1"))
    if matched is None:
        raise BadMessage("not a request line with header lines")
    return matched[1], header_lines(matched[2])


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    bracket = text.rfind("]")
    host, colon, port = text.rpartition(":") if text.rfind(":") > bracket else (text, "", "")
    if not _HOST.fullmatch(host) or len(host) > 255:
        raise BadMessage("not a host")
    if colon and _PORT.fullmatch(port) and 0 < int(port) < 65536:
        return host.removeprefix("[").removesuffix("]"), int(port)
    if not colon and default_port is not None:
        return host.removeprefix("[").removesuffix("]"), default_port
    raise BadMessage("not a port")


def _length(headers: Headers) -> int:
    """Returns the length of the body in bytes; refuses chunked bodies, which Chromium sends over HTTP/2 only."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        raise BadMessage("transfer coding in a request", 400 if lengths else 411)
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0]):
        raise BadMessage("ambiguous content length")
    return int(lengths[0])


def encode(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
