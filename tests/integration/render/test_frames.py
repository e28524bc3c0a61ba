"""Tests frames of other sites, and workers."""

from __future__ import annotations

import pytest

from .conftest import Bench, Site, text_of
from .test_report import report_of

LATE = "<p id=late></p><script>setTimeout(() => { late.textContent = 'LATE in the frame' }, 300)</script>"
FRAMES = {
    "text": ("<p>text of the frame", ("text of the frame",)),
    "dialog": ("<script>alert('x'); confirm('y')</script><p>after the dialog", ("after the dialog",)),
    "popup": ("<script>open('/popup')</script><p>after the popup", ("after the popup",)),
    "late": (LATE, ("LATE in the frame",)),
    "navigates": ("<script>location.replace('/second')</script>", ("second document",)),
    "request": (
        "<p id=found></p><script>fetch('/slow').then(r => r.text()).then(t => { found.textContent = t })</script>",
        ("slow answer",),
    ),
}


@pytest.fixture
def other(site: Site, allow: set[tuple[str, int]]) -> str:
    """The origin of the same server under another name, which is another site to the browser."""
    allow.add(("localhost", site.port))
    site.page("/popup", "popup")
    site.page("/second", "<p>second document")
    site.page("/slow", "slow answer")
    return f"http://localhost:{site.port}"


@pytest.mark.parametrize("case", FRAMES)
def test_frame_of_another_site_is_printed(render: Bench, site: Site, other: str, case: str) -> None:
    html, texts = FRAMES[case]
    site.page("/framed", html)
    answer = render(site.page("/outer", f"<p>outer text</p><iframe src={other}/framed width=500 height=200></iframe>"))
    printed = text_of(answer)
    for text in ("outer text", *texts):
        assert text in printed
    assert report_of(answer).verdict == "complete"


def test_frame_within_a_frame_of_another_site_is_printed(render: Bench, site: Site, other: str) -> None:
    site.page("/innermost", f"<p>innermost text{LATE}")
    site.page("/middle", f"<p>middle text</p><iframe src={site.url('/innermost')} width=400 height=150></iframe>")
    answer = render(site.page("/outer", f"<iframe src={other}/middle width=600 height=400></iframe>"))
    printed = text_of(answer)
    assert all(text in printed for text in ("middle text", "innermost text", "LATE in the frame"))
    assert report_of(answer).verdict == "complete"


def test_image_that_a_frame_of_another_site_lacks_is_reported(render: Bench, site: Site, other: str) -> None:
    site.page("/framed", "<p>text of the frame<img src=/missing.png width=50 height=50>")
    report = report_of(render(site.page("/outer", f"<iframe src={other}/framed width=500 height=200></iframe>")))
    assert report.verdict == "degraded"
    assert [trouble.url for trouble in report.failed] == [f"{other}/missing.png"]


def test_frame_that_is_removed_while_it_loads_delays_nothing(render: Bench, site: Site, other: str) -> None:
    site.page("/outer", f"""<p>the text</p><iframe src={other}/hold></iframe><script>
        onload = null; setTimeout(() => {{ document.querySelector('iframe').remove() }}, 200)</script>""")  # fmt: skip
    answer = render(site.url("/outer"))
    assert "the text" in text_of(answer)
    assert report_of(answer).verdict == "complete"


def test_requests_of_a_worker_are_awaited(render: Bench, site: Site) -> None:
    site.pages["/worker.js"] = (
        200, {"Content-Type": "text/javascript"}, b"fetch('/data').then(r => r.text()).then(t => postMessage(t))",
    )  # fmt: skip
    site.page("/data", "answer of the worker")
    html = "<p id=found></p><script>new Worker('/worker.js').onmessage = e => { found.textContent = e.data }</script>"
    answer = render(site.page("/works", html))
    assert "answer of the worker" in text_of(answer)
    assert report_of(answer).verdict == "complete"


def test_worker_that_ends_within_its_request_delays_nothing(render: Bench, site: Site) -> None:
    site.pages["/worker.js"] = (200, {"Content-Type": "text/javascript"}, b"fetch('/hold'); postMessage('asked')")
    html = """<p>the text</p><script>const worker = new Worker('/worker.js');
        worker.onmessage = () => setTimeout(() => worker.terminate(), 100)</script>"""
    answer = render(site.page("/ends", html))
    assert "the text" in text_of(answer)
    assert report_of(answer).verdict == "complete"
