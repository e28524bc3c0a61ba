"""Tests that one look is enough for simple pages only: content that comes later, or on paper only, is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from functions.render.page import readiness
from functions.render.page.readiness import Readiness
from functions.render.page.witness import Witness

from .conftest import Bench, Site, text_of

SHOW = "const show = () => { place.textContent = 'it is there' };"
PIXEL = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
LATER = {
    "timer after the load event": "onload = () => setTimeout(show, 40)",
    "third frame": "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(show)))",
    "picture that a handler loads": f"""onload = () => {{
        const picture = new Image(); picture.onload = show; picture.src = `{PIXEL}`;
    }}""",
    "picture that is drawn later": f"""const picture = new Image();
        picture.onload = () => {{ const next = new Image(); next.onload = show; next.src = `{PIXEL}`; }};
        picture.src = `{PIXEL}`;""",
    "copy of a canvas": "document.createElement('canvas').toBlob(show)",
    "observer of sizes": "new ResizeObserver(show).observe(document.body)",
    "message channel": "const c = new MessageChannel(); c.port1.onmessage = show; c.port2.postMessage(1)",
    "broadcast": "const a = new BroadcastChannel('x'); a.onmessage = show; new BroadcastChannel('x').postMessage(1)",
    "message to the window": "onmessage = show; postMessage(1)",
    "fonts": "document.fonts.ready.then(() => setTimeout(show, 30))",
    "module from text": "import('data:text/javascript,export const done = 1').then(show)",
    "module from an object": """import(URL.createObjectURL(new Blob(['export const done = 1'],
        {type: 'text/javascript'}))).then(show)""",
    "answer of the server": "fetch('/data').then(answer => answer.text()).then(show)",
    "answer to an old request": "const r = new XMLHttpRequest(); r.onload = show; r.open('GET', '/data'); r.send()",
    "script that a script loads": """const s = document.createElement('script'); s.src = '/more.js';
        document.body.append(s)""",
    "worker": "new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))).onmessage = show",
    "handler of the print event": "onbeforeprint = show",
    "listener to the print event": "addEventListener('beforeprint', show)",
    "query for print": "matchMedia('print').onchange = show",
    "handler of scrolling": "document.body.style.height = '4000px'; onscroll = show",
    "observer of sight": """new IntersectionObserver(found => found.some(one => one.isIntersecting) && show())
        .observe(place)""",
    "end of an animation": "place.animate([{opacity: 0}, {opacity: 1}], 60).onfinish = show",
    "end of a transition": """place.style.transition = 'opacity .05s'; place.ontransitionend = show;
        getComputedStyle(place).opacity; place.style.opacity = 0.9""",
    "idle time": "requestIdleCallback(show)",
    "text of a file": "new Blob(['x']).text().then(show)",
    "lock": "navigator.locks.request('x', show)",
}  # fmt: skip
ON_PAPER = {
    "print style": "<style>p { display: none } @media print { p { display: block } }</style>",
    "style sheet for print": "<style>p { display: none }</style><link rel=stylesheet media=print href=print.css>",
    "narrow sheet": "<style>p { display: none } @media (max-width: 900px) { p { display: block } }</style>",
    "container": """<style>main { container-type: inline-size } p { display: none }
        @container (max-width: 900px) { p { display: block } }</style>""",
    "scroll animation": """<style>@keyframes out { from { visibility: hidden } to { visibility: hidden } }
        p { animation: out linear; animation-timeline: view() }</style>""",
    "nested rule": "<style>p { display: none; @media print { display: block } }</style>",
}
SIMPLE = {
    "text": "<p>it is there",
    "table": "<style>td { border: 1px solid }</style><table>" + "<tr><td>it is there" * 300 + "</table>",
    "chart": """<svg width=90 height=90 id=chart></svg><canvas id=drawing></canvas><p id=place>before
        <script>chart.innerHTML = '<circle r=40 />'; drawing.getContext('2d').fillRect(0, 0, 50, 50);
        place.textContent = 'it is there';</script>""",
    "data": '<script type=application/json>{"a": 1}</script><p>it is there',
    "rules for pages": "<style>@page { size: A5 } h1 { break-before: page }</style><h1>It</h1><p>it is there",
}


def waits(render: Bench, url: str, **more: object) -> tuple[str, list[str], str]:
    answer = render(url, **more)
    assert answer.report is not None, answer.error
    return text_of(answer), [wait.what for wait in answer.report.waited], answer.report.verdict


@pytest.mark.parametrize("script", LATER.values(), ids=LATER)
def test_content_that_comes_later_is_waited_for(render: Bench, site: Site, script: str) -> None:
    site.pages["/data"] = (200, {"Content-Type": "text/plain"}, b"data")
    site.pages["/more.js"] = (200, {"Content-Type": "text/javascript"}, b"setTimeout(show, 30)")
    html = f"<p id=place>before</p><script>{SHOW} {script}</script>"
    text, waited, verdict = waits(render, site.page("/later", html))
    assert "it is there" in text
    assert "print media" in waited, "one look was taken as enough"
    assert verdict == "complete"


@pytest.mark.parametrize("head", ON_PAPER.values(), ids=ON_PAPER)
def test_content_that_paper_alone_shows_is_waited_for(render: Bench, site: Site, head: str) -> None:
    site.pages["/print.css"] = (200, {"Content-Type": "text/css"}, b"p { display: block }")
    text, waited, verdict = waits(render, site.page("/paper", f"{head}<main><p>it is there</p></main>"))
    assert "it is there" in text
    assert "print media" in waited, "one look was taken as enough"
    assert verdict == "complete"


@pytest.mark.parametrize("html", SIMPLE.values(), ids=SIMPLE)
@pytest.mark.parametrize("wait_until", ["settled", "load"])
def test_one_look_is_enough_for_a_simple_page(render: Bench, site: Site, html: str, wait_until: str) -> None:
    url = site.page("/simple", f"<!doctype html><title>It</title>{html}")
    text, waited, verdict = waits(render, url, options={"wait_until": wait_until})
    assert "it is there" in text
    assert waited == ["load", "content"]
    assert verdict == "complete"


def test_content_that_is_too_wide_is_found_after_one_look(render: Bench, site: Site) -> None:
    """Chromium makes the print smaller for wide content, down to two thirds; content beyond that is cut off."""
    url = site.page("/wide", "<p>text</p><table><tr><td style='min-width: 2000px'>left<td>it is cut off</table>")
    _, waited, verdict = waits(render, url)
    assert "print media" not in waited
    assert verdict == "degraded"


def test_navigation_that_has_failed_is_not_missed(
    render: Bench, site: Site, neighbour: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser's error page comes some 30 ms after the end of the request, and the look may end in between."""
    failed = asyncio.Event()
    enough: list[bool] = []
    look, look_once, note = readiness.glance, Readiness.look_once, Witness.on_failure

    async def look_until_then(*given: Any, **named: Any) -> Any:
        found = await look(*given, **named)
        async with asyncio.timeout(50):
            await failed.wait()
        return found

    async def look_once_and_note(settled: Readiness, *given: Any, **named: Any) -> Any:
        found = await look_once(settled, *given, **named)
        enough.append(settled.glance is not None)
        return found

    def note_failure(witness: Witness, request: Any) -> None:
        note(witness, request)
        failed.set()

    monkeypatch.setattr(readiness, "glance", look_until_then)
    monkeypatch.setattr(Readiness, "look_once", look_once_and_note)
    monkeypatch.setattr(Witness, "on_failure", note_failure)
    refresh = {"Refresh": f"1;url=https://127.0.0.1:{neighbour.port}/"}
    assert render.error(site.page("/refresh", "<p>text", **refresh)) == "blocked_target"
    assert enough[0] is False
