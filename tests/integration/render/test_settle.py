"""Tests that the page cannot tell that it is watched, and that odd ends of loading end the wait."""

from __future__ import annotations

import pytest

from functions.render.page import witness

from .conftest import SECONDS, Bench, Site, text_of

NATIVE = """
  const text = Function.prototype.toString, found = [];
  for (const name of ['setTimeout', 'setInterval', 'clearTimeout', 'requestAnimationFrame', 'requestIdleCallback',
                      'createImageBitmap', 'WebSocket', 'EventSource', 'Worker', 'IntersectionObserver']) {
    const it = window[name];
    if (!/\\[native code\\]/.test(text.call(it)) || it.name !== name) found.push(name);
    if (it.prototype && it.prototype.constructor !== it) found.push(name + '.prototype');
  }
  if (Object.keys(window).some(key => /urlshot/.test(key))) found.push('a name of ours');
  for (const wrong of [() => setTimeout.call({}, () => 0), () => new WebSocket(), () => WebSocket('ws://x'),
                       () => new IntersectionObserver(), () => document.createElement('p').attachShadow()]) {
    try { wrong(); found.push(String(wrong)); } catch (error) { if (!(error instanceof TypeError)) found.push(error); }
  }
  class Own extends IntersectionObserver { get mine() { return true } }
  if (!new Own(() => 0).mine || !(new Own(() => 0) instanceof IntersectionObserver)) found.push('subclass');
  setTimeout(function (...given) { if (this !== window || given.join() !== '1,2') found.push('call'); }, 0, 1, 2);
  addEventListener('unhandledrejection', event => { place.dataset.rejected = event.reason; });
  Promise.reject('as ever');
  setTimeout(() => { place.textContent = found.length ? found.join(' ') : 'as native ' + place.dataset.rejected; }, 50);
"""


def test_page_finds_its_functions_unchanged(render: Bench, site: Site) -> None:
    answer = render(site.page("/native", f"<p id=place>before</p><script>{NATIVE}</script>"))
    assert "as native as ever" in text_of(answer)


def test_frame_without_scripts_causes_no_console_error(render: Bench, site: Site) -> None:
    html = "<p>text<iframe sandbox srcdoc='<p>in the sandbox'></iframe>"
    answer = render(site.page("/sandbox", html), options={"fail_on": ["console"]})
    assert "in the sandbox" in text_of(answer)


@pytest.mark.parametrize(
    "script",
    [
        "location = 'unknown-scheme://x'",
        "location = '/none'",
        "location = '/archive'",
        "stop()",
        "setTimeout(() => { location = 'unknown-scheme://x' }, 50)",
        "setTimeout(() => { location = '/archive' }, 50)",
    ],
)
def test_wait_ends_when_loading_ends_without_a_load_event(render: Bench, site: Site, script: str) -> None:
    site.pages["/none"] = (204, {}, b"")
    site.pages["/archive"] = (200, {"Content-Type": "application/zip"}, b"PK")
    answer = render(site.page("/odd", f"<h1>there</h1><script>{script}</script><p>rest"))
    assert "there" in text_of(answer)
    assert answer.report is not None
    assert not [wait for wait in answer.report.waited if wait.timed_out]
    whole = "rest" in text_of(answer)
    assert answer.report.verdict == ("complete" if whole else "degraded")


def test_page_that_navigates_when_it_is_resized_is_printed(render: Bench, site: Site) -> None:
    site.page("/away", "<p>away")
    answer = render(site.page("/leaves", "<p>text<script>onresize = () => { location = '/away' }</script>"))
    assert "text" in text_of(answer)
    assert answer.report is not None
    assert answer.report.final_url == site.url("/leaves")


def test_unread_body_does_not_delay_the_page(render: Bench, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that counts as under way would delay the page until its time ends."""
    monkeypatch.setattr(witness, "LONG_POLL_SECONDS", SECONDS * 2)
    site.pages["/log"] = (200, {"Content-Type": "text/plain"}, b"x" * 300_000)
    answer = render(site.page("/tracked", "<p>text<script>fetch('/log')</script>"))
    assert answer.report is not None
    assert not [wait for wait in answer.report.waited if wait.timed_out]
    assert answer.report.verdict == "complete"


def test_request_without_an_answer_delays_the_page(render: Bench, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "LONG_POLL_SECONDS", SECONDS * 2)
    html = "<p>text<script>fetch('/hold')</script>"
    answer = render(site.page("/asks", html), limits={"seconds": 12})
    assert answer.report is not None
    assert "content" in [wait.what for wait in answer.report.waited if wait.timed_out]
    assert [warning.code for warning in answer.report.warnings] == ["not_settled"]


def test_endless_navigation_by_script_is_too_many_redirects(render: Bench, site: Site) -> None:
    html = (
        "<p>a station<script>onload = () => { location.replace('?' + (1 + Number(location.search.slice(1)))) }</script>"
    )
    assert render.error(site.page("/round", html)) == "too_many_redirects"


def test_failures_of_the_page_before_a_navigation_are_not_reported(render: Bench, site: Site) -> None:
    site.page("/next", "<p>the next page")
    html = "<script src=/none></script><script>console.error('odd'); location.replace('/next')</script>"
    answer = render(site.page("/first", html), options={"fail_on": ["resources", "console"]})
    assert "the next page" in text_of(answer)
    assert answer.report is not None
    assert (answer.report.failed, answer.report.console, answer.report.verdict) == ((), (), "complete")


def test_drawing_in_steps_is_finished_before_the_print(render: Bench, site: Site) -> None:
    html = """<canvas id=c width=40 height=40></canvas><p id=p></p><script>
      const paper = c.getContext('2d'); let step = 0;
      (function draw() { paper.fillRect(step, step, 2, 2); ++step < 40 ? requestAnimationFrame(draw) : (p.textContent =
        'finished'); })()</script>"""
    assert "finished" in text_of(render(site.page("/steps", html)))


def test_silent_socket_beside_a_whole_article_is_complete(render: Bench, site: Site) -> None:
    html = f"<p>{'words ' * 100}<script>new WebSocket('ws://' + location.host + '/hold')</script>"
    answer = render(site.page("/article", html))
    assert answer.report is not None
    assert answer.report.verdict == "complete"
