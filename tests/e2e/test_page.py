"""The page at / works in a real browser against the whole stack, and strangers' texts cannot harm it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Route, expect
from pypdf import PdfReader

from tests.e2e.conftest import Pages, Stack, call
from tests.e2e.visitor import Visitor, open_browser

HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\u202egpj.exe'
VIEWER = "Object.defineProperty(Navigator.prototype, 'pdfViewerEnabled', { get: () => true });"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


Arrive = Callable[..., Visitor]


@pytest.fixture
def arrive(browser: Browser, stack: Stack) -> Iterator[Arrive]:
    """Opens the page in a fresh browser context; at the end, checks for errors and requests to other origins."""
    visitors: list[Visitor] = []

    def arrive(script: str = "", **context: Any) -> Visitor:
        visitors.append(Visitor.of(browser, script, **context))
        visitors[-1].page.goto(stack.endpoint)
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.leave(stack.endpoint, stack.ready["aws_endpoint"])


def test_pasted_address_becomes_a_pdf(arrive: Arrive, stack: Stack, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    visitor.ask(pages.url("/pasted"))
    job = visitor.job("Page /pasted")
    expect(job.get_by_text("Complete")).to_be_visible()
    expect(job.get_by_text(re.compile(r"1 page · \d+ kB · took [\d.]+ s"))).to_be_visible()
    assert visitor.focused() == "Page /pasted"
    expect(page.get_by_role("status")).to_contain_text("Complete")

    # This browser has no PDF viewer, so the page shows a link in place of a frame.
    link = job.get_by_role("link", name="Open the PDF").get_attribute("href") or ""
    assert "This is /pasted" in PdfReader(io.BytesIO(call("GET", link).body)).pages[0].extract_text()
    with page.expect_download() as download:
        job.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "127.0.0.1-pasted.pdf"
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")

    job.get_by_role("button", name="Print again").click()
    expect(job.get_by_role("link", name="Open the PDF")).to_be_visible()
    assert pages.hits["/pasted"] == 2


def test_pdf_is_framed_from_the_storage_alone(arrive: Arrive, stack: Stack, pages: Pages) -> None:
    visitor = arrive(VIEWER)
    with visitor.page.expect_download():  # the headless shell downloads a PDF in a frame
        visitor.ask(pages.url("/framed"))
    frame = visitor.page.locator("iframe")
    assert (frame.get_attribute("src") or "").startswith(f"{stack.ready['aws_endpoint']}/")
    assert frame.get_attribute("title") == "PDF of Page /framed"
    toggle = visitor.page.get_by_role("button", name="Hide")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    toggle.click()
    expect(frame).to_have_count(0)
    expect(visitor.page.get_by_role("button", name="Show")).to_have_attribute("aria-expanded", "false")


def test_copied_link_is_the_lasting_one(arrive: Arrive, stack: Stack, pages: Pages) -> None:
    visitor = arrive(permissions=["clipboard-read", "clipboard-write"])
    visitor.ask(pages.url("/copied"))
    visitor.page.get_by_role("button", name="Copy link").click()
    expect(visitor.page.get_by_role("status")).to_have_text("The link is copied.")
    link = str(visitor.page.evaluate("navigator.clipboard.readText()"))
    assert re.fullmatch(re.escape(stack.endpoint) + r"/pdf/[0-9a-f]{40}/file", link)
    assert call("GET", call("GET", link).headers["Location"]).body.startswith(b"%PDF")


def test_many_addresses_become_a_batch(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    pages.documents["/many/blank"] = "<!doctype html><title>Blank</title>"
    urls = [pages.url(path) for path in ("/many/1", "/many/blank", "/status/404?many")]
    page.get_by_label("Address of the page").fill("\n".join([*urls, "http://10.0.0.1/", urls[0], ""]))
    page.get_by_role("button", name="Make 4 PDFs").click()
    expect(visitor.job("Page /many/1").get_by_text("Complete")).to_be_visible()
    expect(visitor.job("Blank").get_by_text("Doubtful")).to_be_visible()
    expect(visitor.job("Blank").get_by_text("There is next to nothing on the paper.")).to_be_visible()
    expect(visitor.job(urls[2]).get_by_text("Failed")).to_be_visible()
    assert page.get_by_role("heading", level=3).all_text_contents() == ["Page /many/1", "Blank", urls[2]]
    field = page.get_by_label("Address of the page")
    expect(field).to_have_value("http://10.0.0.1/")
    expect(field).to_be_focused()
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    expect(field).to_have_accessible_description(
        re.compile("1 of 4.*not a global unicast address.*public internet", re.DOTALL)
    )
    page.get_by_role("button", name="Clear the list").click()
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()


def test_failure_is_shown_with_its_remedy(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    url = pages.url("/status/404?page")
    visitor.ask(url)
    job = visitor.job(url)
    expect(job.get_by_text("Failed")).to_be_visible()
    expect(job.get_by_text("404.")).to_be_visible()
    expect(job.get_by_text("Check that the URL opens in a browser.")).to_be_visible()
    expect(job.get_by_role("button", name="Show")).to_be_hidden()
    visitor.ask(url)  # a request this soon is answered with that failure
    expect(job.get_by_text("Check that the URL opens in a browser.")).to_be_visible()
    job.get_by_role("button", name="Remove").click()
    expect(job).to_have_count(0)
    assert visitor.focused() == "Your PDFs"


def test_job_removed_while_it_is_asked_for_again_stays_removed(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    visitor.ask(pages.url("/unwanted"))
    job = visitor.job("Page /unwanted")
    expect(job.get_by_text("Complete")).to_be_visible()
    held: list[Route] = []
    page.route("**/pdf", lambda route: held.append(route), times=1)
    with page.expect_request("**/pdf"):
        job.get_by_role("button", name="Print again").click()
    job.get_by_role("button", name="Remove").click()
    expect(job).to_have_count(0)
    with page.expect_response("**/pdf"):
        held[0].continue_()
    visitor.ask(pages.url("/next"))
    expect(visitor.job("Page /next").get_by_text("Complete")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(1)


def test_changed_options_are_sent_and_refusals_are_shown_at_their_field(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    page.get_by_role("combobox", name="Paper").select_option("A5")
    page.get_by_label("Landscape").check()
    page.get_by_role("combobox", name="Margins").select_option("20mm")
    page.get_by_label("Page numbers").check()
    page.get_by_label("Background").uncheck()
    page.get_by_text("More options").click()
    page.get_by_label("left").fill("1cm")
    page.get_by_label("Author").fill("A. Miller")
    page.get_by_label("Window width").fill("800")
    page.get_by_label("Hide elements").fill("h1\n\n.ad\n")
    page.get_by_label("Parts that do not load").check()
    page.get_by_label("Pages", exact=True).fill("3-1")
    page.get_by_text("More options").click()
    visitor.ask(pages.url("/options"))
    wrong = page.get_by_label("Pages", exact=True)
    expect(wrong).to_be_focused()  # so its section is unfolded too
    expect(wrong).to_have_accessible_description(
        re.compile("^“Pages”: contains '3-1', which is neither a page nor an ascending range")
    )
    wrong.fill("1")
    with page.expect_request("**/pdf") as sent:
        visitor.ask(pages.url("/options"))
    assert sent.value.post_data_json == {
        "url": pages.url("/options"),
        "options": {
            "format": "A5",
            "landscape": True,
            "margin": {"top": "20mm", "right": "20mm", "bottom": "20mm", "left": "1cm"},
            "page_numbers": True,
            "background": False,
            "metadata": {"author": "A. Miller"},
            "viewport": {"width": 800},
            "hide": ["h1", ".ad"],
            "fail_on": ["status", "resources"],
            "page_ranges": "1",
        },
    }
    job = visitor.job("Page /options")
    expect(job.get_by_text("format A5 · margin top 20mm")).to_be_visible()
    link = job.get_by_role("link", name="Open the PDF").get_attribute("href")
    pdf = PdfReader(io.BytesIO(call("GET", link or "").body))
    assert [round(float(side) / 72 * 25.4) for side in pdf.pages[0].mediabox[2:]] == [210, 148]
    assert "1 / 1" in pdf.pages[0].extract_text() and "This is" not in pdf.pages[0].extract_text()


def test_list_survives_a_reload_and_garbage_and_missing_storage(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    visitor.ask(pages.url("/kept"))
    expect(visitor.job("Page /kept").get_by_text("Complete")).to_be_visible()
    page.reload()
    expect(visitor.job("Page /kept").get_by_text("Complete · 1 page")).to_be_visible()
    visitor.job("Page /kept").get_by_role("button", name="Show").click()
    expect(page.get_by_role("link", name="Open the PDF")).to_be_visible()

    good = {
        "id": "0" * 40,
        "url": "javascript:alert(3)",
        "state": "done",
        "title": "Odd",
        "file": "javascript:alert(4)",
    }
    odd = [None, 1, {"id": "x"}, {**good, "warnings": "no", "options": 1, "error": 2, "asked": "?", "pages": {}}, good]
    for stored in ("{", "null", '"x"', "{}", json.dumps(odd)):
        page.evaluate("stored => localStorage.setItem('urlshot.jobs', stored)", stored)
        page.reload()
        expect(page.get_by_role("button", name="Make PDF")).to_be_enabled()
    expect(page.get_by_role("article")).to_have_count(1)
    expect(visitor.job("Odd").get_by_role("link")).to_have_count(0)

    locked = arrive("for (const name of ['localStorage', 'sessionStorage'])"
                    " Object.defineProperty(window, name, { get() { throw new Error('no') } });")  # fmt: skip
    locked.ask(pages.url("/kept"))
    expect(locked.job("Page /kept").get_by_text("Complete")).to_be_visible()


def test_strangers_texts_are_shown_as_plain_text(arrive: Arrive, pages: Pages) -> None:
    title = HOSTILE.replace("&", "&amp;").replace("<", "&lt;")
    script = f"console.error({json.dumps(HOSTILE)})".replace("</", "<\\/")
    pages.documents["/hostile"] = f"<!doctype html><title>{title}</title><h1>Hello</h1><script>{script}</script>"
    visitor = arrive()
    page = visitor.page
    visitor.ask(pages.url("/hostile") + "?<img src=x onerror=alert(5)>#\"'><script>alert(6)</script>")
    heading = page.get_by_role("heading", level=3)
    expect(heading).to_have_text(re.compile(r"^<img src=x onerror="))
    assert heading.locator("bdi").evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"
    page.get_by_role("article").get_by_text("Details").click()
    expect(page.get_by_role("definition").filter(has_text="<img src=x onerror=")).to_be_visible()
    assert page.locator("article :is(img, script)").count() == 0
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_page_works_with_the_keyboard_alone(arrive: Arrive, pages: Pages) -> None:
    visitor = arrive()
    page = visitor.page
    keys = page.keyboard

    def tab_to(name: str, most: int = 20) -> None:
        for _ in range(most):
            keys.press("Tab")
            if page.evaluate("document.activeElement.labels?.[0]?.textContent.trim() ?? ''").startswith(name):
                return
            if visitor.focused().startswith(name):
                return
        pytest.fail(f"{name} is not reached")

    tab_to("Address of the page")
    keys.insert_text(pages.url("/keyboard"))
    tab_to("Paper")
    keys.type("A6")
    tab_to("Portrait")
    keys.press("ArrowRight")
    tab_to("Page numbers")
    keys.press("Space")
    tab_to("More options")
    keys.press("Enter")
    tab_to("If a PDF exists already")
    page.get_by_text("More options").focus()
    keys.press("Enter")
    tab_to("Make PDF")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    job = visitor.job("Page /keyboard")
    expect(job.get_by_text("Complete")).to_be_visible()
    expect(job.get_by_text("format A6 · landscape · page numbers")).to_be_visible()
    expect(job.get_by_role("heading")).to_be_focused()
    for name in ("Details", "Hide", "Download", "Copy link", "Print again", "Remove", "Open the PDF"):
        tab_to(name, 2)
    keys.press("Shift+Tab")
    keys.press("Enter")
    expect(job).to_have_count(0)
    tab_to("")  # the focus is not trapped here


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_accessibility_violations(arrive: Arrive, pages: Pages, scheme: str) -> None:
    pages.documents["/incomplete"] = (
        "<!doctype html><title>Incomplete</title><h1>A</h1><img src='/status/404'>" + "text " * 99
    )
    visitor = arrive(VIEWER.replace("true", "false"), color_scheme=scheme, reduced_motion="reduce")
    page = visitor.page
    visitor.ask(pages.url("/incomplete"))
    expect(visitor.job("Incomplete").get_by_text("not all of it arrived")).to_be_visible()
    visitor.ask(pages.url("/status/404?axe"))
    expect(page.get_by_text("Check that the URL opens")).to_be_visible()
    arrived, go = pages.hold(f"/held/{scheme}")
    try:
        visitor.ask(pages.url(f"/held/{scheme}"))
        expect(page.get_by_text("Printing", exact=True)).to_be_visible()
        assert arrived.wait(60)
        motion = page.locator("[data-look=under-way] .mark").evaluate("mark => getComputedStyle(mark).animationName")
        assert motion == "none"
        page.get_by_text("More options").click()
        page.get_by_label("Address of the page").fill("")
        page.get_by_role("button", name="Make PDF").click()
        expect(page.get_by_label("Address of the page")).to_be_focused()
        for details in page.get_by_text("Details", exact=True).all():
            details.click()
        found = Axe().run(page)
    finally:
        go.set()
    assert found.violations_count == 0, found.generate_report()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 242, 238)", "dark": "rgb(19, 20, 23)"}[scheme]


@pytest.mark.parametrize("width", [320, 390])
def test_phone_needs_no_sideways_scrolling(arrive: Arrive, pages: Pages, width: int) -> None:
    visitor = arrive(viewport={"width": width, "height": 700}, has_touch=True)
    visitor.ask(pages.url("/phone/" + "a" * 300))
    expect(visitor.page.get_by_role("article").get_by_text("Complete")).to_be_visible()
    visitor.page.get_by_text("More options").click()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == width
    small = (
        "e => [...e.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary')].filter(one => {"
    )
    small += " const box = one.getBoundingClientRect(); return box.height && Math.max(box.height, box.width) < 24 &&"
    small += " one.labels?.[0]?.getBoundingClientRect().height < 24 }).length"
    assert visitor.page.locator("body").evaluate(small) == 0


def test_page_polls_with_pauses_and_stops_while_hidden_or_after_a_time(arrive: Arrive) -> None:
    """The test controls the browser's clock, and the endpoint's job never ends."""
    visitor = arrive()
    page = visitor.page
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3600)
    job = {"id": "a" * 40, "url": "https://example.com/slow", "state": "running", "options": {}, "links": {}}
    looks: list[str] = []

    def answer(route: Route) -> None:
        looks.append(route.request.url)
        if len(looks) == 2:
            route.abort()
        elif len(looks) == 3:
            problem = {"title": "There are too many requests", "detail": "There are too many requests."}
            route.fulfill(status=429, json=problem, headers={"Retry-After": "9"})
        else:
            # The attempt differs in each answer, so that the page shows which answer came last.
            route.fulfill(json={**job, "attempt": len(looks)}, headers={"Retry-After": "7"})

    def turn(seconds: float, count: int, text: str | re.Pattern[str]) -> None:
        """Advances the clock; then there have been `count` polls, and the job's line shows `text`."""
        page.clock.run_for(int(seconds * 1000))
        expect(page.get_by_role("article").get_by_text(text)).to_be_visible()
        assert len(looks) == count

    asked = {**job, "state": "queued", "attempt": 0}
    page.route("**/pdf", lambda route: route.fulfill(status=202, json=asked, headers={"Retry-After": "2"}))
    page.route(f"**/pdf/{job['id']}?*", answer)
    visitor.ask("example.com/slow")
    turn(0, 1, "Printing")
    assert looks[0].endswith("?wait=10")
    turn(6.8, 1, re.compile("^Printing · [56] s"))
    turn(0.4, 2, "The endpoint cannot be reached")
    turn(2.5, 3, "There are too many requests.")
    turn(8.8, 3, "There are too many requests.")
    turn(0.4, 4, "Printing, try 4")
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    turn(120, 4, "Printing, try 4")
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    turn(1, 5, "Printing, try 5 · 2 min")
    page.clock.fast_forward("31:00")
    turn(0, 6, "no longer followed")
    page.clock.run_for(600_000)
    assert len(looks) == 6
    page.get_by_role("button", name="Check again").click()
    turn(0, 7, "Printing, try 7")


def test_form_works_without_scripts(browser: Browser, stack: Stack, pages: Pages) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(stack.endpoint)
    page.get_by_label("Address of the page").fill(pages.url("/plain"))
    page.get_by_role("combobox", name="Paper").select_option("A6")
    page.get_by_label("Background").uncheck()
    with page.expect_download() as download:
        page.get_by_role("button", name="Make PDF").click()
    pdf = PdfReader(download.value.path())
    assert "This is /plain" in pdf.pages[0].extract_text()
    assert round(float(pdf.pages[0].mediabox[2]) / 72 * 25.4) == 105
    page.context.close()
