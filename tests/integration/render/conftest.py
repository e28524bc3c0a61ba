"""Fixtures: the browser of the built layer, and web servers on loopback that the egress rules allow or forbid."""

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
"""Default limit of a job, generous for a busy machine."""
HOLD_SECONDS = 100.0
"""Longest time that /hold stays unanswered, which is longer than any job."""
GRACE = 30.0
"""Seconds beyond its limit in which a job must end; on a busy machine it takes time to kill a browser."""


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """Returns the layer that `make layers` built."""
    root = Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", ROOT / ".urlshot" / "layers" / "ChromiumLayer"))
    if not (root / "chromium" / "manifest.json").is_file():
        pytest.fail(f"there is no Chromium layer at {root}; build it with `make layers`")
    return Layer.at(root)


@dataclass
class Site:
    """A small web server: its answers and the requests that it received."""

    port: int
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    hits: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    posted: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Answers to POST; by default those of `pages`."""
    once: set[str] = field(default_factory=set)
    """Paths that are answered only once."""
    hold: threading.Event = field(default_factory=threading.Event)
    """/hold is answered when this is set. A page sets it by a request for /release."""

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def page(self, path: str, html: str, status: int = 200, **headers: str) -> str:
        """Adds a page and returns its URL."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, {"Content-Type": "text/html; charset=utf-8", **named}, html.encode())
        return self.url(path)

    def paths(self) -> list[str]:
        return [path for path, _ in self.hits]


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Starts web servers on loopback; `tls` is the TLS context of an https server."""
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
                path = self.path.partition("?")[0]
                answers = site.posted if self.command == "POST" and path in site.posted else site.pages
                status, headers, body = answers.get(path, (404, {}, b"nothing here"))
                if path in site.once:
                    site.pages.pop(path, None)
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
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients may leave early
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
    """A server that the egress rules allow."""
    site = serve()
    allow.add(("127.0.0.1", site.port))
    return site


@pytest.fixture
def neighbour(serve: Callable[..., Site]) -> Site:
    """A server on loopback that the egress rules forbid."""
    site = serve()
    site.page("/", "<h1>private</h1>")
    return site


@dataclass
class Bench:
    """A renderer with its log and the ends of its process."""

    renderer: Renderer
    log: io.StringIO
    deaths: list[None]

    def __call__(self, url: str, **job: Any) -> RenderAnswer:
        """Renders a page; the keyword arguments are other fields of the job."""
        given = {"id": "a" * 40, "generation": "g", "upload": None, "limits": {"seconds": SECONDS}, **job}
        return self.renderer.render(RenderJob.model_validate({"url": url, **given}), None)

    def error(self, url: str, **job: Any) -> str:
        """Renders a page that must fail; returns the code of the error."""
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
    # The rules of a function never change, but servers of tests come and go, so the set of allowed pairs is shared.
    for holder in (renderer.browser._proxy, renderer._jobs):
        object.__setattr__(holder, "_egress", _Opened(allow))
    renderer.start()
    return Bench(renderer, log, deaths)


def _Opened(allow: set[tuple[str, int]]) -> Any:  # noqa: N802 - replaces a class
    from urlshot.core.egress import Egress

    egress = Egress()
    object.__setattr__(egress, "opened", allow)
    return egress


@pytest.fixture(scope="session")
def _allowed() -> set[tuple[str, int]]:
    return set()


@pytest.fixture
def allow(_allowed: set[tuple[str, int]]) -> Iterator[set[tuple[str, int]]]:
    """The pairs of host and port that are allowed during one test."""
    yield _allowed
    _allowed.clear()


@pytest.fixture(scope="session")
def _shared(layer: Layer, _allowed: set[tuple[str, int]]) -> Iterator[Bench]:
    bench = _bench(layer, _allowed)
    yield bench
    bench.renderer.close()


@pytest.fixture
def render(_shared: Bench, allow: set[tuple[str, int]]) -> Bench:
    """The renderer that all tests share, as jobs share one on Lambda."""
    _shared.log.seek(0)
    _shared.log.truncate()
    return _shared


@pytest.fixture
def single_process_render(render: Bench) -> Iterator[Bench]:
    """The shared renderer; during one test its browser is a single process."""
    relaunch(render, single_process=True)
    yield render
    relaunch(render)


def relaunch(bench: Bench, *, single_process: bool = False) -> None:
    """Replaces the browser of a renderer."""
    bench.renderer.browser.chromium.single_process = single_process
    bench.renderer.browser.chromium.version = ""
    parting = bench.renderer.browser.give_back(None, healthy=False)
    asyncio.run_coroutine_threadsafe(parting, bench.renderer._loop).result(10)


def wait_for_next_page(bench: Bench) -> None:
    """Waits until the page of the last job is closed and the next one is prepared."""

    async def prepared() -> None:
        if (coming := bench.renderer.browser._next) is not None:
            await asyncio.wait({coming})

    asyncio.run_coroutine_threadsafe(prepared(), bench.renderer._loop).result(60)


def read_pdf(answer: RenderAnswer) -> PdfReader:
    """Returns the PDF of an answer."""
    assert answer.pdf is not None, answer.error
    return PdfReader(io.BytesIO(base64.b64decode(answer.pdf)))


def text_of(answer: RenderAnswer) -> str:
    """Returns all text of an answer's PDF, with ligatures split, which Open Sans prints."""
    return unicodedata.normalize("NFKC", "\n".join(page.extract_text() for page in read_pdf(answer).pages))
