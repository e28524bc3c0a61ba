"""Tests that the PDF of each page shows the facts of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from urlshot.core.options import Options
from urlshot.core.render_contract import Report

from .facts import GALLERY
from .row import Facts
from .server import PAGES
from .studio import Printed, Studio, open_studio, squeeze

PARTS = {"framed", "framed-late", "framed-cut", "framed-motion", "framed-lazy", "framed-empty"}
"""Pages that only other pages show, in frames."""
SERVED = {"/short", "/unchunked", "green.svg"}
"""Pages of the table without an HTML or XML file of their own."""


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """Renders all pages in one process, as on Lambda."""
    with open_studio() as opened:
        yield opened


def _name(facts: Facts) -> str:
    return "-".join([facts.page, *(key for key in facts.options if key != "margin")])


@pytest.mark.parametrize("facts", GALLERY, ids=_name)
def test_pdf_shows_its_facts(studio: Studio, facts: Facts) -> None:
    unknown = facts.options.keys() - Options.model_fields.keys()
    if unknown:
        pytest.skip(f"no such option yet: {unknown}")
    if facts.settled and "settled" not in get_args(Options.model_fields["wait_until"].annotation):
        pytest.skip("no value `settled` of wait_until yet")
    answer = studio.render(facts.page, facts.options)
    assert answer.error is None
    report = answer.report
    assert report is not None
    printed = Printed(answer)

    assert report.title == facts.title
    assert facts.pages[0] <= len(printed.reader.pages) == report.pages <= facts.pages[1]
    sides = [(one, other) for one, other in zip(printed.size, facts.size, strict=True) if other]
    assert all(abs(one - other) <= 2 for one, other in sides), printed.size
    _check_text(facts, printed.texts)
    for font in facts.fonts:
        assert any(font in name for name in printed.fonts), printed.fonts
    assert printed.images >= facts.images
    for link in facts.links:
        assert any(found.endswith(link) for found in printed.links), printed.links
    if facts.outline:
        assert printed.outline == list(facts.outline)
    for ink in facts.ink:
        assert ink.least <= printed.share(ink) <= ink.most, ink
    if facts.tidied is not None:
        assert report.tidied is not None
        assert report.tidied.model_dump(include=set(facts.tidied)) == facts.tidied
    if "verdict" in Report.model_fields:
        assert report.verdict == facts.verdict, report
        assert {warning.code for warning in report.warnings} == set(facts.warnings)


def _check_text(facts: Facts, texts: list[str]) -> None:
    whole = "".join(texts)
    at = 0
    for text in facts.shows:
        found = whole.find(squeeze(text), at)
        assert found >= 0, f"{text!r} is not after {whole[max(0, at - 80) : at]!r} in {whole[:2000]!r}"
        at = found + len(squeeze(text))
    for text in facts.lacks:
        assert squeeze(text) not in whole
    for number, text in enumerate(texts, 1):
        assert squeeze(facts.every) in text, f"page {number}"


def test_every_page_has_a_row_in_the_table() -> None:
    files = {page.stem for page in PAGES.glob("*.html")} | {page.name for page in PAGES.glob("*.xml")}
    own = {facts.page for facts in GALLERY if not facts.page.startswith(("/cut/", "/packed/"))} - SERVED
    assert own == files - PARTS
    assert len({facts.page for facts in GALLERY}) >= 90
