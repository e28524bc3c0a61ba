"""Tests the verdict and its warnings, and the facts from which they follow."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter

from functions.render.page.look import read
from functions.render.pdf.document import page_count_of_any
from functions.render.pdf.ink import Ink, Marks, ink
from functions.render.verdict import TEXTS, Seen, judge
from urlshot.core.render_contract import MAX_REPORT, MOST, Hop, Report, Trouble, Wait, Warned

TABLE = Path(__file__).parents[3] / "docs" / "rendering.md"

SEEN = [
    (Seen(), "complete", []),
    (Seen(console=2), "complete", ["console_errors"]),
    (Seen(failed=1), "degraded", ["resources_failed"]),
    (Seen(blocked=1), "degraded", ["resources_blocked"]),
    (Seen(images_missing=1, failed=1), "degraded", ["resources_failed", "images_missing"]),
    (Seen(glyphs_missing={"TIBETAN": 2}), "degraded", ["glyphs_missing"]),
    (Seen(unsettled=("load",)), "degraded", ["not_settled"]),
    (Seen(cut_documents=1), "degraded", ["document_cut"]),
    (Seen(cut=3), "degraded", ["content_cut"]),
    (Seen(covered=1), "degraded", ["content_covered"]),
    (Seen(as_picture=300), "degraded", ["text_as_picture"]),
    (Seen(no_webgl=1), "degraded", ["webgl_missing"]),
    (Seen(plugins=1), "degraded", ["plugins_missing"]),
    (Seen(videos=1), "degraded", ["media_missing"]),
    (Seen(scroll_limit=30_000), "degraded", ["scroll_limit"]),
    (Seen(split=2), "degraded", ["several_pages"]),
    (Seen(status=404), "degraded", ["page_status"]),
    (Seen(near_blank=True), "suspect", ["near_blank"]),
    (Seen(challenge="Cloudflare", status=403), "suspect", ["challenge_page", "page_status"]),
    (Seen(login=True, console=1), "suspect", ["login_page", "console_errors"]),
]


@pytest.mark.parametrize(("seen", "verdict", "codes"), SEEN)
def test_verdict_and_warnings_follow_from_the_facts(seen: Seen, verdict: str, codes: list[str]) -> None:
    found, warnings = judge(seen)
    assert (found, [warning.code for warning in warnings]) == (verdict, codes)
    assert all(warning.text and "{" not in warning.text for warning in warnings)


def test_every_warning_code_has_a_case_in_the_table() -> None:
    assert {code for _, _, codes in SEEN for code in codes} == TEXTS.keys()


def _facts(**found: Any) -> dict[str, Any]:
    base = {"text": 50, "media": False, "title": "t", "traces": [], "password": False, "missing": [], "broken": 0}
    return base | dict.fromkeys(("filtered", "no_webgl", "plugins", "videos", "torn", "drawing"), 0) | found


@pytest.mark.parametrize(
    ("facts", "challenge"),
    [
        ({"title": "Just a moment..."}, "Cloudflare"),
        ({"title": "Just a moment, please: an essay"}, ""),
        ({"title": "Access to this page has been denied."}, "PerimeterX"),
        ({"traces": ["#px-captcha"]}, "PerimeterX"),
        ({"traces": ["iframe[src*='hcaptcha.com'], .h-captcha"]}, "hCaptcha"),
        (
            {"traces": ["iframe[src*='hcaptcha.com'], .h-captcha"], "text": 9000},
            "",
        ),  # a captcha in a form of a real page
        ({"traces": ["made up by the page"]}, ""),
    ],
)
def test_well_known_checks_for_humans_are_recognised(facts: dict[str, Any], challenge: str) -> None:
    assert read(_facts(**facts), "https://e.example/", "https://e.example/").challenge == challenge


@pytest.mark.parametrize(
    ("final", "text", "login"),
    [
        ("https://e.example/login?next=/a", 80, True),
        ("https://sso.example/", 80, True),
        ("https://e.example/a/", 80, False),  # the job asked for this page
        ("https://e.example/b", 5000, False),  # a page of content with a login form in a corner
    ],
)
def test_login_page_counts_only_if_another_page_was_requested(final: str, text: int, login: bool) -> None:
    assert read(_facts(password=True, text=text), "https://e.example/a", final).login is login


def test_ink_of_an_empty_or_broken_pdf_is_empty() -> None:
    for pdf in (b"", b"%PDF-1.4", b"<</Filter /FlateDecode /Length 9>> stream\nxxxxxxxxx"):
        assert (ink(pdf), ink(pdf).marks) == (Ink(), Marks())
    assert Ink().nearly_none


def test_largest_report_fits_an_event() -> None:
    long = "é" * 5000
    report = Report(
        final_url="u" * 2048,
        status=200,
        title=long[:500],
        pages=1,
        bytes=1,
        sha256="0" * 64,
        redirects=(Hop(url="u" * 2048, status=301),) * MOST,
        waited=(Wait(what="w" * 40, milliseconds=1.5),) * MOST,
        failed=(Trouble(url="u" * 500, reason=long[:200], kind="k" * 20),) * MOST,
        blocked=(Trouble(url="u" * 500, reason=long[:200], kind="k" * 20),) * MOST,
        console=(long[:300],) * MOST,
        images_missing=("u" * 500,) * MOST,
        glyphs_missing=("PRIVATE USE",) * MOST,
        warnings=(Warned(code="c" * 40, text="t" * 300),) * len(TEXTS),
        phases=dict.fromkeys(("start", "navigate", "settle", "print", "upload"), 1.0),
        network={"received": 1},
        chromium="147",
        cold=False,
    )
    bounded = report.bounded()
    assert len(json.dumps(bounded.model_dump(mode="json"))) <= MAX_REPORT
    assert bounded.failed and bounded.console and bounded.warnings == report.warnings
    assert bounded.bounded() == bounded


def test_pages_of_a_pdf_by_another_program_are_counted_if_possible() -> None:
    writer = PdfWriter()
    for _ in range(3):
        writer.add_blank_page(100, 100)
    target = io.BytesIO()
    writer.write(target)
    assert page_count_of_any(target.getvalue()) == 3
    assert page_count_of_any(target.getvalue()[:-40]) == 3
    assert page_count_of_any(b"%PDF-1.7 nothing") == 0


def test_table_of_page_classes_names_the_warnings_of_the_code() -> None:
    rows = [line.split("|") for line in TABLE.read_text().splitlines() if line.startswith("| ")][1:]
    named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row[3])}
    of_the_whole_page = {"page_status", "near_blank", "challenge_page", "login_page", "console_errors"}
    missing_parts = {"resources_blocked", "glyphs_missing"}
    assert named == TEXTS.keys() - of_the_whole_page - missing_parts
