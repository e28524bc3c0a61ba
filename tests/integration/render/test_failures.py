"""Tests that every page's job ends in time with the right code, and that the next job renders normally."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .conftest import GRACE, Bench, Site, text_of


@dataclass(frozen=True)
class Case:
    """A page and the end of its job: an error code, or a text that the PDF must have."""

    html: str
    code: str | None = None
    text: str = ""
    seconds: float = 30
    pages: int = 2000


CASES = {
    "dialogs": Case("<p>done<script>alert(1); confirm(2); prompt(3)</script>", text="done"),
    "dialogs without end": Case("<p>done<script>while (true) alert(1)</script>", "timeout", seconds=1),
    "popups": Case("<p>done<script>for (let n = 0; n < 20; n++) open('/popup')</script>", text="done"),
    "beforeunload": Case("<p>done<script>onbeforeunload = e => e.preventDefault()</script>", text="done"),
    "an endless loop": Case("<p>text<script>while (true) { }</script>", "timeout", seconds=1),
    "an endless loop later": Case("<p>text<script>setTimeout(() => { while (true); }, 30)</script>", "timeout",
                                  seconds=1),
    "an endless loop of promises": Case("<p>x<script>(function f() { Promise.resolve().then(f) })()</script>",
                                        "timeout", seconds=1),
    "an endless loop at printing": Case("<p>text<script>onbeforeprint = () => { while (true); }</script>", "timeout",
                                        seconds=2),
    "a script that leads in circles": Case("<script>location = '?' + Math.random()</script>", seconds=2),
    "a page that closes itself": Case("<p>text<script>close()</script>", text="text"),
    "a document of 5,000 pages": Case("<p style='break-after:page'>page</p>" * 300, "too_many_pages", pages=200),
    "timers that shut others out": Case("<p>text<script>setTimeout = null; Promise = null; performance.now = null;"
                                        "document.querySelector = null</script>", text="text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_job_ends_in_time_and_the_next_job_works(render: Bench, site: Site, kind: str) -> None:
    case = CASES[kind]
    site.page("/popup", "popup")
    url = site.page("/case", case.html)
    began = time.monotonic()
    answer = render(url, limits={"seconds": case.seconds, "pages": case.pages})
    assert time.monotonic() - began < case.seconds + GRACE
    if case.code is not None:
        assert answer.error is not None
        assert answer.error["code"] == case.code
    elif case.text:
        assert case.text in text_of(answer)
    assert "fine" in text_of(render(site.page("/fine", "fine")))
    assert not render.deaths


@pytest.fixture
def endless(allow: set[tuple[str, int]]) -> Iterator[str]:
    """A server whose page has no end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        allow.add(("127.0.0.1", server.getsockname()[1]))

        def serve() -> None:
            while True:
                try:
                    browser, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=pour, args=(browser,), daemon=True).start()

        def pour(browser: socket.socket) -> None:
            with browser:
                try:
                    browser.recv(4096)
                    browser.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 200000000\r\n\r\n")
                    while True:
                        browser.sendall(b"<p>more and more and more</p>\n" * 1000)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_page_of_200_megabytes_is_too_large(render: Bench, site: Site, endless: str) -> None:
    began = time.monotonic()
    assert render.error(endless, limits={"seconds": 40, "page_bytes": 5_000_000}) == "too_large"
    assert time.monotonic() - began < 40
    assert "fine" in text_of(render(site.page("/fine", "fine")))


def test_endless_redirects_are_too_many_redirects(render: Bench, site: Site) -> None:
    assert render.error(site.page("/round", "", 302, Location="/round")) == "too_many_redirects"
    assert "fine" in text_of(render(site.page("/fine", "fine")))
