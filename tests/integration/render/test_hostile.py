"""Tests that a hostile page ends within its limits, with an error code or a report, and that the next job is right."""

from __future__ import annotations

import pytest

from functions.render import renderer
from urlshot.core.errors import CODES
from urlshot.core.render_contract import RenderAnswer

from .conftest import GRACE, Bench, Site, text_of
from .hostile_pages import HEAD, MARKUP, QUICK, REDEFINED, SCRIPTS, entities, packed, picture_bomb

SECONDS = 12.0
"""Limit of a hostile page."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a busy machine more time to kill a browser; without it, the renderer would end its process."""
    monkeypatch.setattr(renderer, "ANSWER_SECONDS", GRACE * 2)


def attacked(render: Bench, url: str, **job: object) -> RenderAnswer:
    """Renders a hostile page and then a good one; returns the answer about the hostile one.

    `render` raises if a job takes longer than its limit.
    """
    answer = render(url, **{"limits": {"seconds": SECONDS}, **job})
    if answer.error is not None:
        assert answer.error["code"] in CODES
        assert len(str(answer.error)) < 2000
    else:
        assert answer.report is not None and answer.pdf is not None
        assert answer.report.pages >= 1
    assert render.deaths == []
    return answer


def good(render: Bench, site: Site) -> None:
    """Renders a good page."""
    answer = render(site.page("/next", "<title>next</title><p>next page"))
    assert "next page" in text_of(answer)
    assert answer.report is not None
    assert (answer.report.verdict, answer.report.title) == ("complete", "next")
    assert render.deaths == []


def hostile(site: Site, script: str) -> str:
    return site.page(
        "/hostile", f"<!doctype html><title>t</title><script>{script}</script><h1>hostile text</h1><p>more"
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in REDEFINED]
)
def test_page_that_changes_its_objects_ends_and_harms_no_other(render: Bench, site: Site, name: str) -> None:
    answer = attacked(render, hostile(site, REDEFINED[name]))
    if answer.report is not None and answer.report.verdict == "complete":
        assert "hostile text" in text_of(answer)
    good(render, site)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_without_end_ends_and_harms_no_other(render: Bench, site: Site, name: str) -> None:
    attacked(render, site.page("/hostile", f"{HEAD}<script>{SCRIPTS[name]}</script>"))
    site.hold.set()
    good(render, site)


@pytest.mark.slow
@pytest.mark.parametrize("name", MARKUP)
def test_bomb_of_markup_ends_and_harms_no_other(render: Bench, site: Site, name: str) -> None:
    site.pages["/bomb.png"] = (200, {"Content-Type": "image/png"}, picture_bomb())
    attacked(render, site.page("/hostile", HEAD + MARKUP[name]))
    good(render, site)


@pytest.mark.slow
def test_document_bomb_ends_and_harms_no_other(render: Bench, site: Site) -> None:
    site.pages["/xml"] = (200, {"Content-Type": "application/xml"}, entities())
    site.pages["/gzip"] = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, packed())
    for path in ("/xml", "/gzip"):
        answer = attacked(render, site.url(path))
        assert answer.report is None or answer.report.verdict != "complete"
        good(render, site)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("Object.defineProperty(document, 'scrollingElement', {get: () => ({scrollHeight: Infinity})})", "single_page"),
        ("Object.defineProperty(Element.prototype, 'scrollWidth', {get: () => Infinity})", "fit"),
        ("document.createDocumentFragment = () => { throw 1 }; document.querySelectorAll = () => { throw 1 }", "hide"),
    ],
)
def test_page_cannot_end_a_job_by_its_own_answers(render: Bench, site: Site, script: str, options: str) -> None:
    given = {"single_page": {"single_page": True}, "fit": {"fit": "width"}, "hide": {"hide": ["h2"]}}[options]
    attacked(render, hostile(site, script), options=given)
    good(render, site)


def test_text_without_a_unicode_value_is_reported(render: Bench, site: Site) -> None:
    script = "document.title = 'a\\ud800b'; console.error('c\\udfffd')"
    answer = attacked(render, hostile(site, script))
    assert answer.report is not None
    assert (answer.report.title, answer.report.console) == ("a?b", ("c?d",))
