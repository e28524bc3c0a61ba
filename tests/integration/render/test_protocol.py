"""Tests servers that violate HTTP, but whose pages browsers show."""

from __future__ import annotations

import gzip
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from .conftest import Bench, text_of

BODY = b"<!doctype html><meta charset=utf-8><h1>BODY-OK</h1>"
HTML = b"Content-Type: text/html\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKS = b"%X;a=b\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY), BODY)

PAGES = {
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + HTML + b"\r\n" + BODY,
    "bare LF": b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + BODY,
    "no reason": b"HTTP/1.1 200\r\n" + HTML + b"\r\n" + BODY,
    "no status": b"HTTP/1.1\r\n" + HTML + b"\r\n" + BODY,
    "a head of 120 kB": b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 4000) * 30 + HTML + LENGTH + b"\r\n" + BODY,
    "hints first": b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload; as=style\r\n\r\n"
    b"HTTP/1.1 200 OK\r\n" + HTML + b"\r\n" + BODY,
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + HTML + b"\r\n" + gzip.compress(BODY),
    "deflate": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n" + HTML + b"\r\n" + zlib.compress(BODY),
    "chunk extensions and a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + HTML + b"\r\n" + CHUNKS,
    "a length beside chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    + HTML + b"\r\n" + CHUNKS,
    "equal lengths": b"HTTP/1.1 200 OK\r\n" + LENGTH + LENGTH + HTML + b"\r\n" + BODY,
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n" + HTML + b"\r\n" + BODY,
    "junk first": b"\r\nHTTP/1.1 200 OK\r\n" + HTML + b"\r\n" + BODY,
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Type : text/html\r\n\r\n" + BODY,
    "a folded line": b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n" + BODY,
    "lines that are none": b"HTTP/1.1 200 OK\r\nnothing\r\n: x\r\n" + HTML + b"\r\n" + BODY,
    "no type": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "a part of it": b"HTTP/1.1 206 Partial Content\r\n" + HTML + LENGTH + b"\r\n" + BODY,
}  # fmt: skip


@pytest.fixture
def raw(allow: set[tuple[str, int]]) -> Iterator[Callable[..., str]]:
    """Serves raw bytes, `step` at a time, then closes the connection; returns the URL."""
    servers = []

    def serve(answer: bytes, step: int = 0) -> str:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while self.rfile.readline().strip():
                    pass
                for at in range(0, len(answer), step or len(answer)):
                    self.wfile.write(answer[at : at + (step or len(answer))])
                    time.sleep(0.01 if step else 0)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients may leave early
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        allow.add(("127.0.0.1", server.server_address[1]))
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", PAGES)
def test_page_of_an_odd_server_is_printed(render: Bench, raw: Callable[..., str], kind: str) -> None:
    assert text_of(render(raw(PAGES[kind]))).strip() == "BODY-OK"


def test_page_that_arrives_in_small_pieces_is_printed(render: Bench, raw: Callable[..., str]) -> None:
    assert text_of(render(raw(PAGES["bare LF"], step=4))).strip() == "BODY-OK"


def test_response_with_differing_lengths_is_refused(render: Bench, raw: Callable[..., str]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + LENGTH + HTML + b"\r\n" + BODY
    assert render.error(raw(answer)) == "page_unavailable"
