"""The web server of the gallery: serves files, and answers that a file cannot give."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = Path(__file__).parent / "pages"

_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_OPEN_SECONDS = 20.0
"""Time for which a connection without further data stays open."""
_CUT = b"<!doctype html><title>Cut short</title><p>the beginning"


class _Handler(SimpleHTTPRequestHandler):
    """Serves the files of `pages/`, and these paths.

    /slow/<milliseconds>/<path>  a file after a delay
    /socket/<milliseconds>       a WebSocket whose first message comes after a delay; /socket/never: none comes
    /stream/<milliseconds>       an event stream, in the same way
    /drip/<milliseconds>         a text in five parts, with a delay before each
    /unended                     a response whose body never ends
    /short, /unchunked           a document that breaks off
    /short.css                   a style sheet that breaks off
    /packed/<coding>/<path>      a file in the coding gzip, deflate, raw (deflate without its head) or plain
    /cut/<coding>/<path>         the first three fifths of that, announced as complete
    /elsewhere/<path>            a redirect to the same server under the name of another site
    /nothing, /archive, /paper   a status 204, a download, a PDF
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name, _, rest = self.path.lstrip("/").partition("?")[0].partition("/")
        special = getattr(self, f"_{name.replace('.', '_')}", None)
        if special is None:
            super().do_GET()
        else:
            special(rest)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def _slow(self, rest: str) -> None:
        milliseconds, _, path = rest.partition("/")
        time.sleep(int(milliseconds) / 1000)
        self.path = "/" + path
        super().do_GET()

    def _head(self, kind: str, length: int | None = None, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _wait(self, rest: str) -> bool:
        """Waits as long as the path says; returns False if no message is to follow."""
        if rest == "never":
            time.sleep(_OPEN_SECONDS)
            return False
        time.sleep(int(rest) / 1000)
        return True

    def _socket(self, rest: str) -> None:
        key = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + _KEY).digest()  # noqa: S324 - the protocol requires it
        self.send_response_only(101)
        for header, value in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
            self.send_header(header, value)
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        self.end_headers()
        self.close_connection = True
        if self._wait(rest):
            text = b"came by socket"
            self.wfile.write(bytes([0x81, len(text)]) + text)
            time.sleep(_OPEN_SECONDS)

    def _stream(self, rest: str) -> None:
        self._head("text/event-stream")
        self.wfile.flush()
        if self._wait(rest):
            self.wfile.write(b"data: came by stream\n\n")
            time.sleep(_OPEN_SECONDS)

    def _drip(self, rest: str) -> None:
        self._head("text/plain", 25)
        for part in (b"drop ", b"by   ", b"drop ", b"till ", b"done "):
            time.sleep(int(rest) / 1000)
            self.wfile.write(part)
            self.wfile.flush()

    def _unended(self, _: str) -> None:
        self._head("text/plain")
        self.wfile.write(b"x" * 100_000)
        time.sleep(_OPEN_SECONDS)

    def _short(self, _: str) -> None:
        self._head("text/html", len(_CUT) + 5000)
        self.wfile.write(_CUT)

    def _unchunked(self, _: str) -> None:
        self._head("text/html", Transfer_Encoding="chunked")
        self.wfile.write(f"{len(_CUT):x}\r\n".encode() + _CUT + b"\r\n")

    def _short_css(self, _: str) -> None:
        self._head("text/css", 5000)
        self.wfile.write(b"h1 { color: #f00 } ")

    def _packed(self, rest: str, part: float = 1.0) -> None:
        coding, _, path = rest.partition("/")
        data = (PAGES / path).read_bytes()
        headers = {"Content_Encoding": "gzip" if coding == "gzip" else "deflate"} if coding != "plain" else {}
        bits = {"gzip": 31, "deflate": 15, "raw": -15}.get(coding)
        if bits is not None:
            packer = zlib.compressobj(wbits=bits)
            data = packer.compress(data) + packer.flush()
        data = data[: int(len(data) * part)]
        self._head(self.guess_type(path), len(data), **headers)
        self.wfile.write(data)

    def _cut(self, rest: str) -> None:
        self._packed(rest, 0.6)

    def _elsewhere(self, rest: str) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/{rest}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _nothing(self, _: str) -> None:
        self.send_response(204)
        self.end_headers()

    def _archive(self, _: str) -> None:
        self._head("application/zip", 4, Content_Disposition="attachment; filename=a.zip")
        self.wfile.write(b"PK\3\4")

    def _paper(self, _: str) -> None:
        self._head("application/pdf", 9)
        self.wfile.write(b"%PDF-1.4\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_pages() -> Iterator[int]:
    """Runs the server on loopback; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(PAGES)))
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients may leave early
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
