"""A web server on a port of 127.0.0.1, whose pages a subclass writes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class PageRequest(BaseHTTPRequestHandler):
    """One GET request for a page."""

    protocol_version = "HTTP/1.1"

    def send(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, cut: int = 0) -> None:
        """Answers with HTML. With `cut`, the connection is closed before the last `cut` bytes of the body."""
        self.send_response(status)
        fields = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = self.close_connection or cut > 0

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a browser that is killed or gives a page up disconnects
            super().handle_error(request, client_address)


class WebServer:
    """Serves pages from a thread of its own. A subclass sets its attributes before it calls this constructor."""

    def __init__(self, port: int = 0) -> None:
        answer = self.answer

        class Handler(PageRequest):
            def do_GET(self) -> None:
                answer(self)

        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def answer(self, request: PageRequest) -> None:
        """Answers one request; runs in the request's own thread."""
        raise NotImplementedError

    def hang(self, request: PageRequest, seconds: float) -> None:
        """Gives no answer, and closes the connection after `seconds` or when the server closes."""
        self._closing.wait(seconds)
        request.close_connection = True

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
