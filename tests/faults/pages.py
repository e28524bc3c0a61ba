"""Serves the pages of real renders, and injects faults into the render that asks for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE_FAULTS = (
    "browser killed",
    "browser stopped",
    "render killed",
    "render frozen",
    "render frozen past its timeout",
    "disk full",
    "file limit",
    "memory",
    "loop",
    "never",
    "cut",
)
"""What happens to the render that loads a page below /real/<fault>/."""

_PLAIN = "<!doctype html><title>{path}</title><h1>Page</h1><p>{path}"
_BODIES = {
    "loop": "<!doctype html><title>loop</title><p>before<script>for (;;) {}</script>",
    "memory": "<!doctype html><title>memory</title><p>before<script>const kept = [];"
    " const more = () => { const b = new Uint8Array(64 << 20); b.fill(1); kept.push(b); setTimeout(more, 50) };"
    " more()</script>",
}
NEVER_SECONDS = 60.0


class FaultyPages:
    """A web server on a port of 127.0.0.1.

    Args:
        hurt: Is called with the fault and the local port of the render's connection, before the page is answered.
    """

    def __init__(self, hurt: Callable[[str, int], None]) -> None:
        closing = threading.Event()
        self._closing = closing

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fault = self.path.split("/")[2].replace("-", " ") if self.path.startswith("/real/") else ""
                if fault == "never":
                    closing.wait(NEVER_SECONDS)
                    self.close_connection = True
                    return
                if fault in PAGE_FAULTS and fault not in _BODIES and fault != "cut":
                    hurt(fault, int(self.client_address[1]))
                body = (_BODIES.get(fault) or _PLAIN.format(path=self.path)).encode()
                if fault == "memory":
                    threading.Thread(target=hurt, args=(fault, int(self.client_address[1])), daemon=True).start()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
                self.close_connection = self.close_connection or fault == "cut"

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass  # killed renders disconnect

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
