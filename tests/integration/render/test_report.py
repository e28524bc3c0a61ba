"""Tests the report that comes with every PDF: its verdict, its warnings and its lists."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import pytest
from pypdf import PdfWriter

from urlshot.core.render_contract import RenderAnswer, Report

from .conftest import GRACE, Bench, Site, text_of


def report_of(answer: RenderAnswer) -> Report:
    assert answer.report is not None, answer.error
    return answer.report


def codes(answer: RenderAnswer) -> list[str]:
    return [warning.code for warning in report_of(answer).warnings]


def test_whole_page_is_complete(render: Bench, site: Site) -> None:
    site.pages["/i.svg"] = (200, {"Content-Type": "image/svg+xml"}, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    answer = render(site.page("/whole", "<title>Whole</title><p>A page of text.<img src=/i.svg>"))
    report = report_of(answer)
    assert (report.verdict, report.warnings, report.source) == ("complete", (), "page")
    assert (report.failed, report.blocked, report.console, report.redirects) == ((), (), (), ())
    assert {wait.what for wait in report.waited} >= {"load", "content"}
    assert not any(wait.timed_out for wait in report.waited)


def test_report_names_missing_resources_without_their_queries(render: Bench, site: Site, neighbour: Site) -> None:
    html = f"""<p>text<img src="/none.png?secret=1"><link rel=stylesheet href="/none.css">
      <img src="{neighbour.url("/private.png?secret=1")}"><p>𒀀𒀁 ɖ
      <script>console.error("so\\n  it is"); console.log("fine"); nothing.at.all</script>"""
    answer = render(site.page("/missing", html))
    report = report_of(answer)
    assert report.verdict == "degraded"
    expected = {"resources_failed", "resources_blocked", "images_missing", "glyphs_missing", "console_errors"}
    assert set(codes(answer)) == expected
    assert {(trouble.url, trouble.reason) for trouble in report.failed} == {
        (site.url("/none.png"), "status 404"),
        (site.url("/none.css"), "status 404"),
    }
    assert [trouble.url for trouble in report.blocked] == [neighbour.url("/private.png")]
    assert set(report.images_missing) == {site.url("/none.png"), neighbour.url("/private.png")}
    assert report.console[0] == "so it is"
    assert report.console[1].startswith("Uncaught")
    assert "CUNEIFORM" in report.glyphs_missing
    assert "secret" not in report.model_dump_json()
    assert neighbour.hits == []


def test_report_lists_the_redirects_to_the_page(render: Bench, site: Site) -> None:
    site.page("/b", "", 302, Location="/c")
    site.page("/c", "<script>location='/d'</script>")
    answer = render(site.page("/a", "", 301, Location="/b")) if site.page("/d", "the page") else None
    assert answer is not None
    report = report_of(answer)
    assert [(hop.url, hop.status) for hop in report.redirects] == [
        (site.url("/a"), 301),
        (site.url("/b"), 302),
        (site.url("/c"), 200),
    ]
    assert report.final_url == site.url("/d")


def test_lists_of_the_report_are_bounded(render: Bench, site: Site) -> None:
    images = "".join(f"<img src=/{'x' * 900}{n}>" for n in range(60))
    html = f"<p>text{images}<script>for (let n = 0; n < 200; n++) console.error('é'.repeat(5000))</script>"
    answer = render(site.page("/much", html))
    report = report_of(answer)
    assert len(report.failed) <= 20
    assert len(report.console) <= 20
    assert all(len(text) <= 300 for text in report.console)
    assert len(report.model_dump_json()) < 64_000
    assert "60 of the page's resources" in " ".join(warning.text for warning in report.warnings)


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("", "near_blank"),
        ("<body style='background:#eee'><div style='display:none'>hidden text</div>", "near_blank"),
        ("<style>@media print { body { display: none } }</style><p>not on paper", "near_blank"),
        ("<title>Just a moment...</title><h1>Verifying you are human</h1>", "challenge_page"),
        ("<p>One more step<div class='h-captcha' style='height:80px'></div>", "challenge_page"),
    ],
)
def test_blank_page_or_check_for_humans_is_suspect(render: Bench, site: Site, html: str, code: str) -> None:
    answer = render(site.page("/suspect", html))
    assert report_of(answer).verdict == "suspect"
    assert code in codes(answer)


@pytest.mark.parametrize(
    "html", ["<canvas id=c></canvas><script>c.getContext('2d').fillRect(0,0,90,90)</script>",
             "<svg width=90 height=90><path d='M0 0L90 90' stroke=red /><circle r=9 /><rect width=9 height=9 /></svg>",
             "x"]
)  # fmt: skip
def test_page_with_a_picture_or_a_word_is_not_blank(render: Bench, site: Site, html: str) -> None:
    assert report_of(render(site.page("/little", html))).verdict == "complete"


def test_login_page_in_place_of_the_page_is_suspect(render: Bench, site: Site) -> None:
    login = site.page("/login", "<form>Please log in <input name=u><input type=password name=p></form>")
    assert codes(render(site.page("/account", "", 302, Location="/login?next=/account"))) == ["login_page"]
    assert codes(render(login)) == []


def _pdf(pages: int, **metadata: str) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/pdf"},
        {"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename=x.pdf"},
        {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="x.pdf"'},
    ],
)
def test_pdf_at_the_url_is_stored_unchanged(render: Bench, site: Site, headers: dict[str, str]) -> None:
    document = _pdf(3)
    site.pages["/doc"] = (200, headers, document)
    site.page("/go", "", 302, Location="/doc")
    answer = render(site.url("/go"))
    assert base64.b64decode(answer.pdf or "") == document
    report = report_of(answer)
    assert (report.source, report.pages, report.verdict, report.status) == ("pdf", 3, "complete", 200)
    assert [hop.url for hop in report.redirects] == [site.url("/go")]
    assert report.final_url == site.url("/doc")
    assert len([path for path in site.paths() if path == "/doc"]) == 1


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-stuff", "text/plain", "text/html", ""])
def test_pdf_is_recognised_by_its_first_bytes(render: Bench, site: Site, kind: str) -> None:
    """The media type does not matter."""
    document = _pdf(2)
    site.pages["/doc"] = (200, {"Content-Type": kind} if kind else {}, document)
    answer = render(site.url("/doc"))
    assert base64.b64decode(answer.pdf or "") == document
    assert report_of(answer).source == "pdf"


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_text_about_pdfs_is_printed(render: Bench, site: Site, kind: str) -> None:
    site.pages["/about"] = (200, {"Content-Type": kind}, b"A PDF begins with %PDF-1.4 and ends with %%EOF.")
    answer = render(site.url("/about"))
    assert "begins with" in text_of(answer)
    assert report_of(answer).source == "page"


def test_pdf_after_a_navigation_by_script_is_stored_too(render: Bench, site: Site) -> None:
    site.pages["/doc"] = (200, {"Content-Type": "application/pdf"}, _pdf(1))
    answer = render(site.page("/go", "<script>location='/doc'</script>"))
    assert report_of(answer).source == "pdf"


def test_large_pdfs_and_other_downloads_are_refused(render: Bench, site: Site) -> None:
    site.pages["/doc"] = (200, {"Content-Type": "application/pdf"}, _pdf(1) + b" " * 3_000_000)
    assert render.error(site.url("/doc"), limits={"seconds": 30, "pdf_bytes": 1_000_000}) == "too_large"
    for kind in ("application/zip", "application/octet-stream"):
        site.pages["/zip.pdf"] = (200, {"Content-Type": kind, "Content-Disposition": "attachment"}, b"PK no pdf")
        assert render.error(site.url("/zip.pdf")) == "unsupported_content"
    assert "fine" in text_of(render(site.page("/fine", "fine")))


def test_page_that_never_comes_to_rest_is_printed_at_its_limit(render: Bench, site: Site) -> None:
    began = time.monotonic()
    answer = render(site.page("/held", "<p>there<img src=/hold.png>"), limits={"seconds": 3})
    assert time.monotonic() - began < 3 + GRACE
    assert "there" in text_of(answer)
    assert codes(answer)[0] == "not_settled"
    assert report_of(answer).verdict == "degraded"
    assert "load" in {wait.what for wait in report_of(answer).waited if wait.timed_out}


def settled(render: Bench, url: str, **job: Any) -> tuple[str, Report]:
    answer = render(url, **job)
    return text_of(answer), report_of(answer)


LATE = {
    "a chain of requests": "fetch('/json').then(() => setTimeout(() => fetch('/json').then(() => say()), 120))",
    "a timer": "setTimeout(say, 60)",
    "what comes into sight": """new IntersectionObserver(found => found[0].isIntersecting && fetch('/json').then(say))
        .observe(end)""",
    "a listener to scrolling": "addEventListener('scroll', () => scrollY > 4000 && fetch('/json').then(say))",
    "the end of an animation": """p.animate([{opacity: 0}, {opacity: 1}], 5000).finished.then(say)""",
    "a drawing in steps": "let n = 0; (function f() { p.title = n; n++ < 30 ? requestAnimationFrame(f) : say() })()",
}


@pytest.mark.parametrize("kind", LATE)
def test_late_content_is_waited_for(render: Bench, site: Site, kind: str) -> None:
    site.pages["/json"] = (200, {"Content-Type": "application/json"}, b"{}")
    html = f"""<p id=p>page</p><div style="height:5000px;break-inside:avoid"></div><p id=end>end</p>
      <script>function say() {{ p.textContent = "came late" }}; {LATE[kind]}</script>"""
    began = time.monotonic()
    text, report = settled(render, site.page("/late", html))
    assert "came late" in text, report.waited
    assert time.monotonic() - began < GRACE
    assert report.verdict == "complete"


def test_long_polls_and_streams_do_not_delay_the_page(render: Bench, site: Site) -> None:
    site.pages["/json"] = (200, {"Content-Type": "application/json"}, b"{}")
    script = """<p>text</p><script>new EventSource('/hold'); new WebSocket('ws://' + location.host + '/hold');
      addEventListener('load', () => navigator.sendBeacon('/hold', 'x'));
      setInterval(() => document.title += '.', 30)</script>"""
    began = time.monotonic()
    _, report = settled(render, site.page("/live", script))
    assert time.monotonic() - began < GRACE, "the job waited for /hold"
    assert report.verdict == "complete"


def test_endless_page_ends_at_the_scroll_limit(render: Bench, site: Site) -> None:
    script = """<div id=d></div><p id=end>.</p><script>
      const one = '<p style="height:2000px">more';
      const more = () => d.insertAdjacentHTML('beforeend', one);
      more(); new IntersectionObserver(found => found[0].isIntersecting && more()).observe(end);
      addEventListener('scroll', more)</script>"""
    began = time.monotonic()
    answer = render(site.page("/endless", script))
    assert time.monotonic() - began < GRACE
    assert codes(answer) == ["scroll_limit"]
    assert report_of(answer).pages >= 20


def test_scripts_do_not_run_without_the_option_javascript(render: Bench, site: Site) -> None:
    html = (
        "<p id=p>before</p><script>p.textContent='after'</script><noscript>none</noscript><div style='height:9999px'>"
    )
    text, report = settled(render, site.page("/js", html), options={"javascript": False})
    assert "before" in text
    assert "none" in text
    assert report.verdict == "complete"
