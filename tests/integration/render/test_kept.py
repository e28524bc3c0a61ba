"""The browser's plain http requests share connections, and no server gets bytes into the answer of another."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from .conftest import Bench, Site, text_of

COUNT = 15
EVIL = b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 23\r\n\r\ndocument.write('wrong')\n"

Frame = Callable[[bytes], bytes]


def announced(script: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(script), script)


def chunked(script: bytes) -> bytes:
    pieces = (script[at : at + 5] for at in range(0, len(script), 5))
    return (
        b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    )


# How the server frames its scripts; whether its connections can be kept.
FRAMES: dict[str, tuple[Frame, bool]] = {
    "a length": (announced, True),
    "chunks": (chunked, True),
    "a second response": (lambda script: announced(script) + EVIL, False),
    "a second response after chunks": (lambda script: chunked(script) + EVIL, False),
    "a second response after trailers": (lambda script: chunked(script)[:-2] + b"A: b\r\n\r\n" + EVIL, False),
    "a second response after bare LF": (lambda script: chunked(script)[:-5] + b"0\n\n" + EVIL, False),
}


@pytest.fixture
def scripts(allow: set[tuple[str, int]]) -> Iterator[Callable[[Frame], int]]:
    """Starts a server whose scripts write their paths, in a framing of the test's own; returns its port."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(frame: Frame) -> int:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while first := self.rfile.readline():
                    while self.rfile.readline() not in {b"\r\n", b""}:
                        pass
                    path = first.split(b" ")[1].strip(b"/")
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n"
                    self.wfile.write(head + frame(b"document.write('%b ')" % path))

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # the proxy may leave early
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        allow.add(("127.0.0.1", server.server_address[1]))
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("case", FRAMES)
def test_every_script_is_the_one_that_was_requested(
    render: Bench, site: Site, scripts: Callable[[Frame], int], case: str
) -> None:
    frame, kept = FRAMES[case]
    port = scripts(frame)
    for number in range(COUNT):
        site.pages[f"/b{number}"] = (200, {"Content-Type": "text/javascript"}, b"document.write('b%d ')" % number)
    pairs = "".join(
        f"<script src=http://127.0.0.1:{port}/a{number}></script><script src=/b{number}></script>"
        for number in range(COUNT)
    )
    answer = render(site.page("/", f"<h1>Words</h1>{pairs}"))
    words = re.findall(r"\b(?:[ab][0-9]+|wrong)\b", text_of(answer))
    assert words == [f"{kind}{number}" for number in range(COUNT) for kind in "ab"]
    assert answer.report is not None
    if kept:
        assert answer.report.network["connections"] <= 2 * 6
    else:
        assert answer.report.network["connections"] > COUNT
