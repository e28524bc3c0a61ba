"""The web server of the benchmark's pages: `python -m tests.bench.site FONTS`.

It prints its port and serves until stdin ends. It runs in a process of its own, so that no tool shares an interpreter
with it. All answers are made beforehand, and none may be cached, so that every tool fetches everything for every PDF.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from infra.local.settings import PROJECT
from tests.bench.pages import LARGE, PAGES, photo, picture, style

FONTS = PROJECT / ".urlshot" / "layers" / "ChromiumLayer" / "chromium" / "fonts"
START_SECONDS = 60.0


def answers(fonts: Path) -> dict[str, tuple[str, bytes]]:
    """Returns the type and the body of every path."""
    found = {f"/{page.name}": ("text/html; charset=utf-8", page.html.encode()) for page in (*PAGES, *LARGE)}
    names = [f"{kind}{n}" for kind, count in (("i", 60), ("a", 8), ("l", 24)) for n in range(1, count + 1)]
    found |= {f"/picture/{name}.png": ("image/png", picture(name)) for name in names}
    found |= {f"/photo/{n}.png": ("image/png", photo(n)) for n in range(10)}
    found |= {f"/style/{n}.css": ("text/css", style(n).encode()) for n in range(3)}
    orders = [{"id": n, "name": f"Order {n}"} for n in range(1, 81)]
    found["/app.json"] = ("application/json", json.dumps(orders).encode())
    found |= {f"/font/{file.name}": ("font/ttf", file.read_bytes()) for file in fonts.rglob("*.ttf")}
    return found


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that leave early."""


def main(fonts: Path) -> None:
    """Serves until stdin ends."""
    prepared = answers(fonts)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # the whole answer is one write
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            kind, body = prepared.get(self.path.partition("?")[0], ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


@contextmanager
def serving() -> Iterator[str]:
    """Runs the server; yields its host and port."""
    command = [sys.executable, "-m", "tests.bench.site", str(FONTS)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(START_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
