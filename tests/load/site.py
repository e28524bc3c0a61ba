"""Serves the pages of the load: good ones, missing ones, and ones that never come."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NEVER_SECONDS = 120.0


class LoadSite:
    """A web server that counts its requests. Pages below /missing are 404, and those below /hanging never come."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        closing = threading.Event()
        self._closing = closing
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.hits[self.path] += 1
                if self.path.startswith("/hanging"):
                    closing.wait(NEVER_SECONDS)
                    self.close_connection = True
                    return
                rows = "".join(f"<tr><td>{n}<td>{n * n}" for n in range(20))
                body = f"<!doctype html><title>{self.path}</title><h1>{self.path}</h1><table>{rows}</table>".encode()
                self.send_response(404 if self.path.startswith("/missing") else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass  # a render that gives a page up disconnects

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
