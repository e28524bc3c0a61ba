"""The real browser of the built layer, pages on loopback that the rules open, and a neighbour that they do not."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import ssl
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from pypdf import PdfReader

from functions.render.renderer import Renderer
from functions.render.settings import RenderSettings
from playwright_aws_lambda import Layer
from urlshot.core.render_contract import RenderAnswer, RenderJob

ROOT = Path(__file__).parents[3]
SECONDS = 50.0
"""A job's limit unless a test gives another: generous, for a busy machine."""
HOLD_SECONDS = 100.0
"""Longest that /hold is held: longer than any job lasts."""
GRACE = 30.0
"""Seconds beyond a job's limit within which it must have ended: a browser is killed meanwhile, on a busy machine."""


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """The layer that `make layers` built."""
    root = Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", ROOT / ".urlshot" / "layers" / "ChromiumLayer"))
    if not (root / "chromium" / "manifest.json").is_file():
        pytest.fail(f"there is no Chromium layer at {root}; build it with `make layers`")
    return Layer.at(root)


@dataclass
class Site:
    """A little web server: what it answers, and what it was asked."""

    port: int
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    hits: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """While it is not set, /hold is not answered. A page sets it by asking for /release."""

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, html: str, status: int = 200, **headers: str) -> str:
        """Serves a page, and returns its URL."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, {"Content-Type": "text/html; charset=utf-8", **named}, html.encode())
        return self.url(path)

    def paths(self) -> list[str]:
        return [path for path, _ in self.hits]


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Starts web servers on loopback; `tls` gives one a certificate that nobody knows."""
    servers: list[tuple[ThreadingHTTPServer, Site]] = []

    def start(tls: ssl.SSLContext | None = None) -> Site:
        site = Site(0)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.hits.append((self.path, dict(self.headers)))
                if self.path == "/release":
                    site.hold.set()
                if self.path.startswith("/hold"):
                    site.hold.wait(HOLD_SECONDS)
                status, headers, body = site.pages.get(self.path.partition("?")[0], (404, {}, b"nothing here"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                site.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that leaves is no news
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        site.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append((server, site))
        return site

    yield start
    for server, site in servers:
        site.hold.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(serve: Callable[..., Site], allow: set[tuple[str, int]]) -> Site:
    """A server that the egress rules open."""
    site = serve()
    allow.add(("127.0.0.1", site.port))
    return site


@pytest.fixture
def neighbour(serve: Callable[..., Site]) -> Site:
    """A server on the same loopback that nobody opened."""
    site = serve()
    site.page("/", "<h1>private</h1>")
    return site


@dataclass
class Bench:
    """A renderer, and what it logged and did."""

    renderer: Renderer
    log: io.StringIO
    deaths: list[None]

    def __call__(self, url: str, **job: Any) -> RenderAnswer:
        """Renders a page; the keyword arguments are the job's other fields."""
        given = {"id": "a" * 40, "generation": "g", "upload": None, "limits": {"seconds": SECONDS}, **job}
        return self.renderer.render(RenderJob.model_validate({"url": url, **given}), None)

    def error(self, url: str, **job: Any) -> str:
        """The code of the error that a job must end with."""
        answer = self(url, **job)
        assert answer.error is not None, f"a PDF of {answer.report and answer.report.final_url}"
        assert answer.pdf is None
        return str(answer.error["code"])

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def _bench(layer: Layer, allow: set[tuple[str, int]]) -> Bench:
    log = io.StringIO()
    deaths: list[None] = []
    renderer = Renderer(
        RenderSettings.read({}), Logger(service="test", stream=log), layer, die=lambda: deaths.append(None)
    )
    # The rules of a function never change; a test's servers come and go, so here the set of opened pairs is shared.
    for holder in (renderer.browser._proxy, renderer._jobs):
        object.__setattr__(holder, "_egress", _Opened(allow))
    renderer.start()
    return Bench(renderer, log, deaths)


def _Opened(allow: set[tuple[str, int]]) -> Any:  # noqa: N802 - it stands for a class
    from urlshot.core.egress import Egress

    egress = Egress()
    object.__setattr__(egress, "opened", allow)
    return egress


@pytest.fixture(scope="session")
def _allowed() -> set[tuple[str, int]]:
    return set()


@pytest.fixture
def allow(_allowed: set[tuple[str, int]]) -> Iterator[set[tuple[str, int]]]:
    """The host:port pairs that are open during one test."""
    yield _allowed
    _allowed.clear()


@pytest.fixture(scope="session")
def _shared(layer: Layer, _allowed: set[tuple[str, int]]) -> Iterator[Bench]:
    bench = _bench(layer, _allowed)
    yield bench
    bench.renderer.close()


@pytest.fixture
def render(_shared: Bench, allow: set[tuple[str, int]]) -> Bench:
    """The renderer that the tests share, as jobs share one on Lambda."""
    _shared.log.seek(0)
    _shared.log.truncate()
    return _shared


@pytest.fixture
def single_process_render(render: Bench) -> Iterator[Bench]:
    """The shared renderer, with its browser as a single process for one test."""
    relaunch(render, single_process=True)
    yield render
    relaunch(render)


def relaunch(bench: Bench, *, single_process: bool = False) -> None:
    """Gives a renderer a new browser."""
    bench.renderer.browser.chromium.single_process = single_process
    bench.renderer.browser.chromium.version = ""
    parting = bench.renderer.browser.give_back(None, healthy=False)
    asyncio.run_coroutine_threadsafe(parting, bench.renderer._loop).result(10)


def read_pdf(answer: RenderAnswer) -> PdfReader:
    """The PDF in an answer."""
    assert answer.pdf is not None, answer.error
    return PdfReader(io.BytesIO(base64.b64decode(answer.pdf)))


def text_of(answer: RenderAnswer) -> str:
    """All text of the PDF in an answer; Open Sans prints ligatures, which are taken apart again."""
    return unicodedata.normalize("NFKC", "\n".join(page.extract_text() for page in read_pdf(answer).pages))
