"""Tests the effect of every option on the page and on the paper."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from urlshot.core.render_contract import RenderAnswer

from .conftest import GRACE, Bench, Site, read_pdf, text_of

SECRET = "made-up-31ce"

SAYS = {
    "locale": ({"locale": "de-DE"}, "navigator.language + (1.5).toLocaleString()", "de-DE1,5"),
    "timezone": ({"timezone": "Asia/Tokyo"}, "Intl.DateTimeFormat().resolvedOptions().timeZone", "Asia/Tokyo"),
    "user agent": ({"user_agent": "Mine/1"}, "navigator.userAgent", "Mine/1"),
    "viewport": ({"viewport": {"width": 400, "height": 300}}, "innerWidth + 'x' + innerHeight", "400x300"),
    "device scale": ({"device_scale": 2}, "'d' + devicePixelRatio", "d2"),
    "colour scheme": ({"color_scheme": "dark"}, "'d' + matchMedia('(prefers-color-scheme: dark)').matches", "dtrue"),
    "media": ({"media": "screen"}, "'m' + matchMedia('screen').matches", "mtrue"),
    "no scripts": ({"javascript": False}, "'ran'", "before"),
    "default": ({}, "[navigator.language, innerWidth, devicePixelRatio].join()", "en-US,1280,1"),
}


@pytest.mark.parametrize("kind", SAYS)
def test_page_sees_the_option(render: Bench, site: Site, kind: str) -> None:
    options, expression, expected = SAYS[kind]
    html = f"<p id=p>before</p><script>p.textContent = {expression}</script>"
    assert expected in text_of(render(site.page("/says", html), options=options))


def test_unknown_timezone_is_an_invalid_option(render: Bench, site: Site) -> None:
    assert render.error(site.page("/x", "x"), options={"timezone": "Moon/Base"}) == "invalid_option"
    assert "fine" in text_of(render(site.page("/fine", "fine")))


def test_media_screen_prints_the_styles_of_the_screen(render: Bench, site: Site) -> None:
    html = (
        "<style>@media print { b { display: none } } @media screen { i { display: none } }</style><b>bold</b> <i>it</i>"
    )
    url = site.page("/media", html)
    assert text_of(render(url)).split() == ["it"]
    assert text_of(render(url, options={"media": "screen"})).split() == ["bold"]


def sizes(answer: RenderAnswer) -> list[tuple[int, int]]:
    """Returns the width and height of each page in millimetres."""
    return [
        (round(float(page.mediabox.width) / 72 * 25.4), round(float(page.mediabox.height) / 72 * 25.4))
        for page in read_pdf(answer).pages
    ]


def test_paper_may_have_any_size(render: Bench, site: Site) -> None:
    url = site.page("/paper", "text")
    assert sizes(render(url, options={"width": "120mm", "height": "20cm"})) == [(120, 200)]
    assert sizes(render(url, options={"width": "120mm", "height": "20cm", "landscape": True})) == [(200, 120)]
    own = site.page("/own", "<style>@page { size: 80mm 100mm }</style>text")
    assert sizes(render(own, options={"css_page_size": True})) == [(80, 100)]
    assert sizes(render(own)) == [(210, 297)]


def test_single_page_is_as_high_as_its_content(render: Bench, site: Site) -> None:
    lines = "<p style='break-after:page'>line</p>" * 150
    answer = render(site.page("/long", lines + "<p>last"), options={"single_page": True})
    ((width, height),) = sizes(answer)
    assert width == 210
    assert 1100 < height < 1700
    assert "last" in text_of(answer)
    assert answer.report is not None and answer.report.verdict == "complete"
    ((_, low),) = sizes(render(site.page("/short", "short"), options={"single_page": True, "width": "80mm"}))
    assert low < 50


def test_content_longer_than_one_page_causes_a_warning(render: Bench, site: Site) -> None:
    answer = render(site.page("/far", "<p>a</p><div style='height:25000px'></div>z"), options={"single_page": True})
    assert answer.report is not None
    assert [warning.code for warning in answer.report.warnings] == ["several_pages"]


def test_headers_footers_and_page_numbers_are_printed(render: Bench, site: Site) -> None:
    url = site.page("/two", "<title>T</title><p style='break-after:page'>one</p>two")
    assert "2 / 2" in text_of(render(url, options={"page_numbers": True, "margin": "15mm"}))
    templates = {
        "header_template": "<div style='font-size:9px'>HEAD <span class=title></span></div>",
        "footer_template": "<div style='font-size:9px'>FOOT <span class=pageNumber></span></div>",
    }
    text = text_of(render(url, options={**templates, "margin": "20mm"}))
    assert "HEAD T" in text
    assert "FOOT 2" in text


@pytest.mark.parametrize(
    "title",
    [
        "<b>bold</b><script>document.body.append('RAN')</script>",
        "<img src=http://10.0.0.1:9/ onerror=document.body.append('RAN')>",
        "</title></span><style>*{font-size:40px}</style>",
        "(1) /Title (2) \\) >> endobj",
    ],
)
def test_markup_in_a_title_is_text_in_header_and_metadata(render: Bench, site: Site, title: str) -> None:
    script = json.dumps(title).replace("</", "<\\/")
    url = site.page("/markup", f"<script>document.title = {script}</script><p>text")
    header = "<div style='font-size:6px;white-space:nowrap'>HEAD <span class=title></span></div>"
    answer = render(url, options={"header_template": header, "margin": "20mm", "metadata": {"author": "A"}})
    assert f"HEAD {title}" in text_of(answer)
    metadata = read_pdf(answer).metadata
    assert metadata is not None and (metadata.title, metadata.author) == (title, "A")
    assert answer.report is not None and answer.report.title == title
    assert "RAN" not in text_of(answer).replace(title, "")


_FILE_READS = {
    "header with a frame": {"header_template": "<iframe src='FILE'></iframe><object data='FILE'></object>"},
    "footer with an image": {"footer_template": "<img src='FILE'><embed src='FILE'>"},
    "header with a script": {"header_template": "<script>document.write('<iframe src=FILE></iframe>')</script>"},
    "css with an import": {"css": "@import url('FILE'); p::after { content: url('FILE') }"},
    "waiting for a fetch": {
        "wait_expression": "fetch('FILE').then(a => a.text()).then(t => document.body.append(t)).catch(() => 0), true"
    },
}


@pytest.mark.parametrize("kind", _FILE_READS)
def test_option_reads_no_file_of_another_job(render: Bench, site: Site, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.html").write_text(f"<p>{SECRET}")
    for scheme in ("file://", "FILE://", "file:\\\\"):
        address = f"{scheme}{tmp_path}/secret.html"
        options = {name: text.replace("FILE", address) for name, text in _FILE_READS[kind].items()}
        answer = render(site.page("/page", "<p>text"), options={"margin": "20mm", **options})
        assert "text" in text_of(answer)
        assert SECRET not in text_of(answer)


_OUTSIDE = {
    "import": "<style>@import url(http://10.0.0.1:9/x.css)</style>x",
    "style sheet": "<link rel=stylesheet href=http://10.0.0.1:9/x.css>x",
    "font": "<style>@font-face { font-family: f; src: url(http://10.0.0.1:9/f) } b { font-family: f }</style><b>x</b>",
}


@pytest.mark.parametrize("kind", _OUTSIDE)
@pytest.mark.parametrize("option", ["header_template", "footer_template"])
def test_template_with_a_file_from_outside_is_refused(render: Bench, site: Site, kind: str, option: str) -> None:
    answer = render(site.page("/page", "text"), options={option: _OUTSIDE[kind], "margin": "20mm"})
    assert answer.error is not None
    assert (answer.error["code"], answer.error["retryable"]) == ("invalid_option", False)
    assert "template" in answer.error["detail"]


def test_template_with_data_urls_is_printed(render: Bench, site: Site) -> None:
    pixel = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    header = f"<style>@import url(data:text/css,b{{color:red}})</style><b>HEAD</b><img src='{pixel}'>"
    outside = header + "<img src=http://10.0.0.1:9/x><iframe src=http://10.0.0.1:9/></iframe>"
    for template in (header, outside):
        answer = render(site.page("/page", "text"), options={"header_template": template, "margin": "20mm"})
        assert "text" in text_of(answer)


def test_tags_and_bookmarks_are_added_on_request(render: Bench, site: Site) -> None:
    url = site.page("/tags", "<html lang=en><h1>First</h1><p>text<h2>Second</h2>")
    plain = read_pdf(render(url))
    assert "/StructTreeRoot" not in plain.root_object
    tagged = read_pdf(render(url, options={"tagged": True, "outline": True}))
    assert "/StructTreeRoot" in tagged.root_object
    assert json.dumps(str(tagged.outline)).count("/Title") == 2


def test_metadata_is_written_and_the_page_gives_the_default_title(render: Bench, site: Site) -> None:
    url = site.page("/meta", "<title>Of the page (1)</title>text")
    own = read_pdf(render(url)).metadata
    assert own is not None and own.title == "Of the page (1)"
    answer = render(url, options={"metadata": {"author": "Ünï (作者)", "keywords": "a, b"}})
    written = read_pdf(answer).metadata
    assert written is not None
    assert (written.title, written.author, written.keywords) == ("Of the page (1)", "Ünï (作者)", "a, b")
    assert answer.report is not None and answer.report.pages == 1
    mine = read_pdf(render(url, options={"metadata": {"title": "Mine", "subject": "S"}})).metadata
    assert mine is not None
    assert (mine.title, mine.subject, mine.author) == ("Mine", "S", None)


WAITS = {
    "wait_for": ("setTimeout(() => document.body.append(Object.assign(document.createElement('b'), {id: 'late', "
                 "textContent: 'came'})), 1500)", {"wait_for": "#late"}),
    "wait_expression": ("setTimeout(() => { window.ready = {now: 1}; p.textContent = 'came' }, 1500)",
                        {"wait_expression": "window.ready.now === 1"}),
    "delay": ("setTimeout(() => { p.textContent = 'came' }, 1500)", {"delay": 2}),
}  # fmt: skip


@pytest.mark.parametrize("kind", WAITS)
def test_awaited_content_is_printed_and_its_wait_reported(render: Bench, site: Site, kind: str) -> None:
    script, options = WAITS[kind]
    url = site.page("/wait", f"<p id=p>page</p><script>{script}</script>")
    early = render(url, options={"wait_until": "load"})
    assert early.report is not None
    if "came" not in text_of(early):  # on a busy machine the print may come later than the timer
        assert early.report.warnings[0].code == "not_settled"
    answer = render(url, options={**options, "wait_until": "load"})
    assert "came" in text_of(answer)
    assert answer.report is not None
    assert answer.report.verdict == "complete"
    assert {wait.what: wait.timed_out for wait in answer.report.waited}[kind] is False


@pytest.mark.parametrize(
    ("body", "until", "warned"),
    [
        ("page", "load", False),
        ("page", "domcontentloaded", False),
        ("<script>document.title = 'done'</script>page", "load", False),
        ("<img src=/hold>page", "domcontentloaded", True),
        ("<img src=/hold loading=lazy style='position: absolute; top: 9000px'>page", "load", True),
        ("<script>fetch('/hold').then(() => { document.body.append('came') })</script>Loading…", "load", True),
        ("<script>fetch('/hold')</script>" + "<p>A page with enough text. " * 20, "load", False),
        ("<script>setTimeout(() => { document.body.append('came') }, 900)</script>Loading…", "load", True),
    ],
)
def test_page_printed_too_early_is_not_complete(render: Bench, site: Site, body: str, until: str, warned: bool) -> None:
    report = render(site.page("/early", body), options={"wait_until": until}).report
    assert report is not None
    assert [one.code for one in report.warnings] == (["not_settled"] if warned else [])
    assert report.verdict == ("degraded" if warned else "complete")


@pytest.mark.parametrize("options", [{"wait_for": "#never"}, {"wait_expression": "window.never"}, {"delay": 20}])
def test_wait_in_vain_ends_at_the_limit_with_a_warning(render: Bench, site: Site, options: dict[str, Any]) -> None:
    began = time.monotonic()
    answer = render(site.page("/never", "page"), options=options, limits={"seconds": 3})
    assert time.monotonic() - began < 3 + GRACE
    assert answer.report is not None
    assert next(iter(options)) in answer.report.warnings[0].text


@pytest.mark.parametrize("options", [{"wait_for": "p["}, {"wait_expression": "1 +"}])
def test_invalid_selector_or_expression_is_an_invalid_option(
    render: Bench, site: Site, options: dict[str, str]
) -> None:
    assert render.error(site.page("/wrong", "page"), options=options) == "invalid_option"


def test_fail_on_decides_between_a_warning_and_an_error(render: Bench, site: Site) -> None:
    gone = site.page("/gone", "<p>sorry", 404)
    answer = render(gone, options={"fail_on": []})
    assert answer.report is not None and answer.report.status == 404
    assert [warning.code for warning in answer.report.warnings] == ["page_status"]
    parts = site.page("/parts", "<p>text<img src=/none.png>")
    assert render.error(parts, options={"fail_on": ["resources"]}) == "resources_missing"
    site.pages["/busy.png"] = (503, {}, b"")
    busy = site.page("/busy", "<p>text<img src=/busy.png>")
    assert render.error(busy, options={"fail_on": ["resources"]}) == "resources_failed"
    assert render.error(site.page("/c", "<script>oops</script>"), options={"fail_on": ["console"]}) == "console_errors"


def test_headers_and_cookies_of_the_caller_reach_one_origin_only(
    render: Bench, site: Site, serve: Callable[..., Site], allow: set[tuple[str, int]]
) -> None:
    other = serve()
    allow.add(("127.0.0.1", other.port))
    other.page("/there", f"<p>there<img src={site.url('/back.png')}>")
    for path in ("/x.png", "/y", "/z.css"):
        other.page(path, "x")
    site.page("/away", "", 302, Location=other.url("/y"))
    html = f"""<p>page<img src=/own.png><img src={other.url("/x.png")}><img src=/away>
      <link rel=stylesheet href={other.url("/z.css")}><iframe src={other.url("/there")}></iframe>"""
    private = {"headers": {"X-Key": SECRET}, "cookies": [{"name": "c", "value": SECRET, "path": "/own.png"}]}
    answer = render(site.page("/start", html), private=private)
    assert answer.error is None
    seen = {path: {name.lower(): value for name, value in headers.items()} for path, headers in site.hits}
    assert seen["/start"]["x-key"] == seen["/own.png"]["x-key"] == seen["/away"]["x-key"] == SECRET
    assert seen["/own.png"]["cookie"] == f"c={SECRET}"
    assert "cookie" not in seen["/start"]
    assert {"/x.png", "/y", "/z.css", "/there"} <= set(other.paths())
    assert SECRET not in str([headers for path, headers in other.hits if path != "/own.png"])
    assert SECRET not in render.log.getvalue()
    assert SECRET not in answer.model_dump_json(exclude={"pdf"})
    # The next job sends no secret.
    site.hits.clear()
    render(site.url("/start"))
    assert SECRET not in str(site.hits)


@pytest.mark.parametrize("options", [{}, {"block": ["ads", "media"], "consent": "reject"}])
def test_redirect_to_another_origin_drops_the_headers(
    render: Bench, site: Site, serve: Callable[..., Site], allow: set[tuple[str, int]], options: dict[str, Any]
) -> None:
    other = serve()
    allow.add(("127.0.0.1", other.port))
    other.page("/y", "<p>elsewhere<script>fetch('/own', {headers: {Authorization: 'its own'}})</script>")
    private = {"headers": {"Authorization": f"Bearer {SECRET}"}}
    url = site.page("/away", "", 302, Location=other.url("/y"))
    assert "elsewhere" in text_of(render(url, private=private, options=options))
    assert "its own" in str(other.hits)
    assert SECRET in str(site.hits)
    assert SECRET not in str(other.hits)


def test_basic_auth_is_sent_to_the_origin_of_the_url_only(
    render: Bench, site: Site, serve: Callable[..., Site], allow: set[tuple[str, int]]
) -> None:
    other = serve()
    allow.add(("127.0.0.1", other.port))
    other.page("/a", "no", 401, WWW_Authenticate="Basic realm=x")
    url = site.page("/auth", f"<p>page<img src={other.url('/a')}>", 401, WWW_Authenticate="Basic realm=x")
    private = {"basic_auth": {"username": "u", "password": SECRET}}
    assert render.error(url, private=private) == "page_status"  # this site accepts no password
    assert "Basic" in str([headers.get("Authorization") for _, headers in site.hits])
    assert "Basic " not in str([headers.get("Authorization") for _, headers in other.hits])
    # The next job does not send it, although the site asks for it again.
    site.hits.clear()
    assert render.error(url) == "page_status"
    assert site.hits and "Basic " not in str([headers.get("Authorization") for _, headers in site.hits])
