"""A PDF to which a page leads becomes the job's PDF, however and whenever the page leads there."""

from __future__ import annotations

import base64
import threading

import pytest

from urlshot.core.render_contract import Report

from .conftest import Bench, Site, text_of
from .test_report import _pdf, report_of

PDF = (200, {"Content-Type": "application/pdf"}, _pdf(2))
NO_PDF = (200, {"Content-Type": "application/zip"}, b"PK no pdf")
FORM = """<form method=post action=/doc><input name=a value='b &c'></form>"""
WAYS = {
    "a script": "<script>location = '/doc'</script>",
    "a script while resources load": "<img src=/hold><script>location = '/doc'</script>",
    "a script after the load event": "<script>onload = () => setTimeout(() => { location = '/doc' }, 20)</script>",
    "a script after a resource": "<script>fetch('/data').then(() => { location = '/doc' })</script>",
    "a refresh": "<meta http-equiv=refresh content='0;url=/doc'>",
    "a later refresh": "<meta http-equiv=refresh content='1;url=/doc'>",
    "a redirect": "<script>location = '/go'</script>",
    "a link": "<a id=a href=/doc>document</a><script>a.click()</script>",
    "a link to a download": "<a id=a download href=/doc>document</a><script>a.click()</script>",
    "a link to a download, later": "<a id=a download href=/doc>x</a><script>onload = () => a.click()</script>",
    "a form": "<form action=/doc><input name=a value=b></form><script>document.forms[0].submit()</script>",
    "a script that asks again and again": "<script>setInterval(() => { location = '/doc' }, 5)</script>",
    "another page": "<script>location = '/second'</script>",
}


@pytest.fixture
def stays(site: Site) -> Site:
    site.page("/second", "<p>on the way<script>location = '/doc'</script>")
    site.page("/go", "", 302, Location="/doc")
    return site


def served(render: Bench, url: str) -> Report:
    answer = render(url)
    assert base64.b64decode(answer.pdf or "") == PDF[2]
    report = report_of(answer)
    assert (report.source, report.verdict, report.status) == ("pdf", "complete", 200)
    return report


@pytest.mark.parametrize("html", WAYS.values(), ids=list(WAYS))
def test_pdf_to_which_a_page_leads_is_served(render: Bench, stays: Site, html: str) -> None:
    stays.pages["/doc"] = PDF
    url = stays.page("/start", f"<p>You will get the document.{html}")
    report = served(render, url)
    assert report.final_url.partition("?")[0] == stays.url("/doc")
    between = {"/go": [stays.url("/go")], "/second": [stays.url("/second")]}
    found = [hop.url for hop in report.redirects]
    assert found == [url, *next((way for path, way in between.items() if path in html), [])]
    assert {headers["Referer"] for path, headers in stays.hits if path == "/doc"} <= {url, stays.url("/second")}


@pytest.mark.parametrize(
    "script",
    [
        "a.click()",
        "part.click()",
        "a.dispatchEvent(new MouseEvent('click', {bubbles: true}))",
        "Object.assign(document.createElement('a'), {href: '/hold', download: ''}).click()",
    ],
)
def test_download_whose_server_answers_late_is_waited_for(render: Bench, stays: Site, script: str) -> None:
    """The browser reports a download by a link only when its server has answered."""
    stays.pages["/hold"] = PDF
    html = f"<a id=a download href=/hold>the <b id=part>document</b></a><script>{script}</script>"
    answering = threading.Timer(0.3, stays.hold.set)
    answering.start()
    try:
        served(render, stays.page("/start", html))
    finally:
        answering.cancel()


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", ""])
def test_pdf_to_which_a_page_leads_is_recognised_by_its_first_bytes(render: Bench, site: Site, kind: str) -> None:
    site.pages["/doc"] = (200, {"Content-Type": kind} if kind else {}, PDF[2])
    served(render, site.page("/start", "<p>soon<script>location = '/doc'</script>"))


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after the load event"])
def test_pdf_that_a_form_posts_for_is_served(render: Bench, site: Site, late: bool) -> None:
    """GET of the same URL gives a page."""
    site.page("/doc", "<p>the form's page")
    site.posted["/doc"] = PDF
    submit = "document.forms[0].submit()"
    script = f"onload = () => setTimeout(() => {submit}, 20)" if late else submit
    served(render, site.page("/start", f"{FORM}<script>{script}</script>"))
    assert set(site.bodies) == {b"a=b+%26c"}


def test_download_that_is_no_pdf_leaves_the_page(render: Bench, site: Site) -> None:
    site.pages["/zip"] = NO_PDF
    answer = render(site.page("/start", "<p>Your download begins.<script>location = '/zip'</script><p>Thanks."))
    assert "Your download begins." in text_of(answer)
    report = report_of(answer)
    assert (report.source, report.status, report.redirects) == ("page", 200, ())
    assert report.final_url == site.url("/start")


def test_page_goes_on_after_a_download(render: Bench, site: Site) -> None:
    """Its later navigations work as before, to pages and to PDFs."""
    site.pages["/zip"], site.pages["/doc"] = NO_PDF, PDF
    site.page("/next", "<p>the next page")
    lead = "<p>first<script>location = '/zip'; setTimeout(() => {{ location = '{}' }}, 200)</script>"
    assert "the next page" in text_of(render(site.page("/start", lead.format("/next"))))
    served(render, site.page("/start", lead.format("/doc")))


def test_pdf_that_is_sent_only_once_is_an_error(render: Bench, site: Site) -> None:
    site.pages["/doc"] = PDF
    site.once.add("/doc")
    assert render.error(site.page("/start", "<p>soon<script>location = '/doc'</script>")) == "unsupported_content"


@pytest.mark.parametrize("html", ["<iframe src=/doc></iframe>", "<embed src=/doc>", "<a download href=/doc>x</a>"])
def test_pdf_beside_the_page_leaves_the_page(render: Bench, site: Site, html: str) -> None:
    site.pages["/doc"] = PDF
    answer = render(site.page("/start", f"<p>the page{html}"))
    assert "the page" in text_of(answer)
    assert report_of(answer).source == "page"
