"""Makes the attempts with one browser: `python -m tests.integration.egress.runner MODE LAYER`, as root.

MODE `guarded` is the renderer as it is deployed. `open` is the same browser without proxy and protective switches.
`naive` is the renderer with a proxy that checks one address and then connects by name.

The results go to stdout as JSON.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import contextlib
import io
import json
import logging
import os
import queue
import resource
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .attempts import (
    DENIED,
    FIRST_PORT,
    NAMES,
    PAGES_PORT,
    PUBLIC,
    PUBLIC_6,
    Attempt,
    Plan,
    fixed,
    hosts_of,
    pages,
    rebinding,
)
from .listeners import Listeners
from .network import furnish, isolate
from .ways import DATAGRAMS, SCRIPTS

# Chromium's own check of local network access is off, because the test is about this project's egress rules.
EXTRA_SWITCHES = [
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebRTC",
]
SECRET = "the-machines-own-secret"
WORKER_PORTS = (FIRST_PORT + 6000, FIRST_PORT + 6001)
PARALLEL_PAGES = 3
"""Pages that load at the same time; most of a page's time is a wait."""
PAGE_SECONDS = 60
"""Limit for one page; most take about one second."""
SHORT_SECONDS = 3
"""Limit for a page that makes no attempts."""


def worker_page() -> dict[str, str]:
    """Returns a page with two service workers that each make a request when they start, and the workers, by path."""
    register = "<script>for (const n of [0, 1]) navigator.serviceWorker?.register(`/worker${n}.js`, {scope: `/s${n}/`})"
    found = {"/workers": f"<!doctype html><p>printed</p>{register}</script><img src='/hold'>"}
    for number, (host, port) in enumerate(zip(("10.0.0.1", PUBLIC), WORKER_PORTS, strict=True)):
        found[f"/worker{number}.js"] = f"fetch('http://{host}:{port}/', {{mode: 'no-cors'}})"
    return found


def link_page() -> tuple[str, list[Attempt]]:
    """Returns a page whose Link header, rather than its HTML, names the resources to load; and its attempts."""
    kinds = ("preload; as=image", "preload; as=script", "stylesheet", "preconnect", "prefetch", "modulepreload")
    attempts = [
        Attempt(f"Link: {kind}", "", host, FIRST_PORT + 7000 + 10 * at + number, host == PUBLIC)
        for at, host in enumerate(("10.0.0.1", "127.0.0.1", PUBLIC))
        for number, kind in enumerate(kinds)
    ]
    links = ", ".join(f"<http://{a.host}:{a.port}/>; rel={a.way.removeprefix('Link: ')}" for a in attempts)
    return f"Link: {links}\n\n<!doctype html><p>printed</p><img src='/hold'>", attempts


def schemes(folder: Path) -> list[str]:
    """Returns URLs of schemes other than http and https, and of privileged pages; some lead to a secret in `folder`."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    return [
        f"file://{secret}",
        f"file://localhost{secret}",
        f"view-source:file://{secret}",
        "view-source:http://10.0.0.1:9001/",
        "ftp://10.0.0.1:9001/",
        "gopher://10.0.0.1:9001/",
        "chrome://version/",
        "chrome://gpu/",
        "chrome-untrusted://terminal/",
        "devtools://devtools/bundled/inspector.html",
        f"data:text/html,{SECRET}",
        f"javascript:document.write('{SECRET}')",
        f"filesystem:file://{secret}",
        "about:version",
        "intent://10.0.0.1:9001/#Intent;end",
        "ws://10.0.0.1:9001/",
    ]


def unfolded(root: Path, folder: Path) -> list[Any]:
    """Unpacks the layer once for each browser, because a renderer owns all processes that run its binary's path."""
    from playwright_aws_lambda import Layer

    binary = Layer.at(root).inflate()
    layers = [Layer(root, folder / str(number)) for number in range(PARALLEL_PAGES)]
    for layer in layers:
        os.link(binary, layer.workspace() / binary.name)
    return layers


class Guarded:
    """The renderer as it is deployed. There are several, because each takes one job at a time."""

    def __init__(self, layers: list[Any]) -> None:
        from aws_lambda_powertools import Logger

        from functions.render.renderer import Renderer
        from functions.render.settings import RenderSettings

        logger = Logger(service="egress", stream=io.StringIO())
        logger.setLevel(logging.CRITICAL)
        # As in the local stack, one host and port is allowed, so that pages can come from a secure origin.
        allowed = {"LOCAL_ALLOW": f"localhost:{PAGES_PORT}", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        settings = RenderSettings.read({"DENY_HOSTS": DENIED, **allowed})
        self._renderers = [Renderer(settings, logger, layer) for layer in layers]
        self._idle: queue.SimpleQueue[Renderer] = queue.SimpleQueue()
        for renderer in self._renderers:
            renderer.start()
            self._idle.put(renderer)

    def visit(self, urls: list[str], seconds: float = PAGE_SECONDS) -> list[dict[str, Any]]:
        """Renders the pages, and returns a result for each, in the order of the URLs."""
        with ThreadPoolExecutor(len(self._renderers)) as pool:
            return list(pool.map(lambda url: self._visit(url, seconds), urls))

    def _visit(self, url: str, seconds: float) -> dict[str, Any]:
        from pypdf import PdfReader

        from urlshot.core.render_contract import RenderJob

        job = {"url": url, "id": "a" * 40, "generation": "g", "upload": None, "limits": {"seconds": seconds}}
        renderer = self._idle.get()
        answer = renderer.render(RenderJob.model_validate(job), None)
        self._idle.put(renderer)
        text = ""
        if answer.pdf is not None:
            reader = PdfReader(io.BytesIO(base64.b64decode(answer.pdf)))
            text = "\n".join(page.extract_text() for page in reader.pages)
        network = answer.report.network if answer.report is not None else {}
        return {"url": url, "error": (answer.error or {}).get("code"), "text": text, "network": network}

    def close(self) -> None:
        for renderer in self._renderers:
            renderer.close()


class Open:
    """The same browser, directly on the network."""

    def __init__(self, layers: list[Any]) -> None:
        from playwright_aws_lambda import launch_chromium

        self._loop = asyncio.new_event_loop()
        self._chromium = self._loop.run_until_complete(launch_chromium(layer=layers[0]))
        self._turn = asyncio.Semaphore(PARALLEL_PAGES)

    def visit(self, urls: list[str], seconds: float = PAGE_SECONDS) -> list[dict[str, Any]]:
        """Loads the pages, and returns a result for each, in the order of the URLs."""

        async def all_of_them() -> list[dict[str, Any]]:
            return await asyncio.gather(*(self._visit(url, seconds) for url in urls))

        return self._loop.run_until_complete(all_of_them())

    async def _visit(self, url: str, seconds: float) -> dict[str, Any]:
        from functions.render.devtools.page import Page, Settings
        from playwright_aws_lambda import DevToolsError

        async with self._turn:
            page = Page(self._chromium, await self._chromium.new_page(), Settings(), ())
            loaded, text = asyncio.Event(), ""
            page.session.on("Page.loadEventFired", lambda _: loaded.set())
            await page.open()
            with contextlib.suppress(DevToolsError, TimeoutError):
                await page.goto(url, seconds)
                await asyncio.wait_for(loaded.wait(), seconds)
                text = await asyncio.wait_for(page.evaluate("() => document.documentElement.innerText"), seconds)
            await page.close()
        return {"url": url, "error": None, "text": text, "network": {}}

    def close(self) -> None:
        self._loop.run_until_complete(self._chromium.close())


async def naive_dial(host: str, port: int, egress: Any, resolver: Any, protocol: Any) -> Any:
    """Dials as the proxy must not: checks one DNS answer, and then connects to the address of another."""
    from urlshot.network.dial import Failure, Unreachable

    for _, address in await resolver(host, port):
        import ipaddress

        if not egress.for_address(ipaddress.ip_address(address), port).allowed:
            raise Unreachable(Failure("blocked_target", "private"))
    try:
        return (await asyncio.get_running_loop().create_connection(protocol, host, port))[1]
    except OSError as error:
        raise Unreachable(Failure("connection_failed", "not reached")) from error


def main(mode: str, root: str) -> None:
    isolate()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    folder = Path(tempfile.mkdtemp(prefix="egress-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    layers = unfolded(Path(root), folder)
    device = furnish(folder)

    from playwright_aws_lambda import launch

    shipped = launch.chromium_args()
    guards = ("quic", "webrtc", "resolver", "prefetch", "pings", "reliability", "phishing")
    plain = [switch for switch in shipped if not any(guard in switch for guard in guards)]
    launch.chromium_args = lambda: [*(plain if mode == "open" else shipped), *EXTRA_SWITCHES]

    groups = [] if mode == "naive" else [*pages(), fixed()]
    groups += rebinding()
    link, linked = link_page()
    prefetched = ["prefetched-1.test", "prefetched-2.test"]
    prefetch = "".join(f"<link rel=dns-prefetch href='//{name}'>" for name in prefetched)
    plan = Plan.of(groups, mode)
    served = plan.pages | {
        "/linked": link,
        "/dns": f"<!doctype html><p>printed</p>{prefetch}<img src='/hold'>",
        **worker_page(),
    }
    others = schemes(folder)
    framed = [url for url in others if not url.startswith("javascript:")]  # javascript: would replace the page
    frames = "".join(f'<iframe src="{url}"></iframe><object data="{url}"></object>' for url in framed)
    reads = "".join(f"fetch({json.dumps(url)}).then(r => r.text()).then(show).catch(() => 0);" for url in others[:9])
    served["/schemes"] = (
        f"<!doctype html><p>printed</p>{frames}<script>const show = t => document.body.append(t);{reads}"
    )
    served["/schemes"] += "</script><img src='/hold'>"
    for number, url in enumerate(others):
        served[f"/location/{number}"] = f"<!doctype html><p>printed</p><script>location={json.dumps(url)}</script>"
    ports = plan.ports | {attempt.port for attempt in linked}
    listeners = Listeners({*ports, *WORKER_PORTS, PAGES_PORT, 9001, 80}, served, NAMES, plan.awaited)

    if mode == "naive":
        from functions.render.network import session

        session.dial_protocol = naive_dial  # type: ignore[assignment]
    browser = Open(layers) if mode == "open" else Guarded(layers if mode == "guarded" else layers[:1])
    origin, secure = f"http://{PUBLIC}:{PAGES_PORT}", f"http://localhost:{PAGES_PORT}"

    def at(group: list[Attempt]) -> str:
        return secure if {attempt.way for attempt in group} & {*SCRIPTS, *DATAGRAMS} else origin

    visited = browser.visit([f"{at(group)}/page/{number}" for number, group in enumerate(groups)])
    direct: list[dict[str, Any]] = []
    scheme: list[dict[str, Any]] = []
    if mode != "naive":
        visited += browser.visit([f"{secure}{path}" for path in ("/linked", "/dns", "/workers")])
        hosts = hosts_of("10.0.0.1") if mode == "guarded" else ["10.0.0.1", "127.1", "private.test", DENIED]
        targets = [f"http://{host}:9001/direct" for host in hosts]
        targets += [f"{origin}/redirect/302?to=http://{host}:9001/" for host in hosts[::3] if host.isascii()]
        direct = browser.visit(targets)
        scheme = browser.visit(others[:3]) if mode == "open" else browser.visit(others, SHORT_SECONDS)
    if mode == "guarded":
        scheme += browser.visit([f"{origin}/schemes"])
        scheme += browser.visit([f"{origin}/location/{number}" for number in range(len(others))], SHORT_SECONDS)
        scheme += browser.visit([f"{origin}/redirect/302?to={url}" for url in others], SHORT_SECONDS)
    attempts = [attempt for group in [*groups, linked] for attempt in group]
    browser.close()
    os.close(device)
    visits = set(listeners.visits)
    worker = [any(port == wanted for _, _, port in visits) for wanted in WORKER_PORTS]
    found = {
        "attempts": [[a.way, a.host, a.port, a.allowed, a.reached(visits)] for a in attempts],
        "breaches": sorted(
            visit for visit in visits if visit[1] not in (PUBLIC, PUBLIC_6, "") and visit[2] != PAGES_PORT
        ),
        "workers": worker,
        "prefetched": [listeners.asked[name] for name in prefetched],
        "visited": visited,
        "direct": direct,
        "schemes": scheme,
        "datagrams": sorted(port for protocol, _, port in visits if protocol == "udp"),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
