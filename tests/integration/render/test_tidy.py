"""Tests the tidying of pages: CSS, hidden elements, blocked requests and cookie banners."""

from __future__ import annotations

import pytest

from functions.render.page import consent
from urlshot.core.render_contract import RenderAnswer, Tidied

from .conftest import Bench, Site, read_pdf, text_of

PATIENCE = 30.0
"""Longest wait for a banner, in seconds, for a busy machine."""
POLICY = "default-src 'none'; style-src 'none'; script-src 'none'"


def test_css_is_added_after_the_css_of_the_page(render: Bench, site: Site) -> None:
    url = site.page("/c", "<style>h1 { text-transform: lowercase !important }</style><h1>Heading</h1>")
    css = "h1 { text-transform: uppercase !important } h1::after { content: ' added'; }"
    assert "HEADING ADDED" in text_of(render(url, options={"css": css}))


def test_css_and_hide_work_against_the_security_policy_of_a_page(render: Bench, site: Site) -> None:
    url = site.page("/p", "<p>kept</p><nav>menu</nav>", Content_Security_Policy=POLICY)
    answer = render(url, options={"css": "p::after { content: ' added' }", "hide": ["nav"]})
    assert text_of(answer).split() == ["kept", "added"]


def test_css_can_add_a_page_break(render: Bench, site: Site) -> None:
    answer = render(site.page("/b", "<h1>a</h1><h1>b</h1>"), options={"css": "h1 + h1 { break-before: page }"})
    assert len(read_pdf(answer).pages) == 2


def test_css_applies_to_the_page_after_a_navigation_by_script(render: Bench, site: Site) -> None:
    site.page("/there", "<p>there</p><nav>menu</nav>")
    url = site.page("/here", "<script>setTimeout(() => location = '/there', 100)</script><img src=/hold.png>")
    site.hold.set()
    answer = render(url, options={"css": "p::after { content: ' added' }", "hide": ["nav"]})
    if "there" in text_of(answer):  # else it was printed before it navigated
        assert text_of(answer).split() == ["there", "added"]


@pytest.mark.parametrize(
    ("html", "hide", "left"),
    [
        ("<nav>menu</nav><p>text", ["nav"], ["text"]),
        ("<nav style='display: block !important'>menu</nav><p>text", ["nav"], ["text"]),
        ("<i id=a>a</i><i class=b>b</i><i>c</i>", ["#a", ".b"], ["c"]),
        (
            "<style>nav { display: flex !important }</style><nav>menu</nav><p>text",
            ["body > nav:first-of-type"],
            ["text"],
        ),
        ("<nav>a</nav><p>text<nav title=x>b</nav>", ["nav[title"], ["a", "text"]),
        (
            "<p>text<script>onload = () => { document.body.innerHTML += '<nav>late</nav>' }</script>",
            ["nav"],
            ["text"],
        ),
    ],
)
def test_hidden_element_is_not_printed(render: Bench, site: Site, html: str, hide: list[str], left: list[str]) -> None:
    assert text_of(render(site.page("/h", html), options={"hide": hide})).split() == left


@pytest.mark.parametrize("selector", ["p{", "p { color: red } q", "::", "p, ,q", ">>>"])
def test_error_names_an_invalid_selector(render: Bench, site: Site, selector: str) -> None:
    answer = render(site.page("/h", "<p>text"), options={"hide": ["nav", selector]})
    assert answer.error is not None
    assert answer.error["code"] == "invalid_option"
    assert repr(selector) in answer.error["detail"]
    assert answer.error["field"] == "options.hide"


def _tidied(answer: RenderAnswer) -> Tidied:
    assert answer.report is not None, answer.error
    assert answer.report.tidied is not None
    return answer.report.tidied


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("images", {"/i.png", "/b.png", "/s.svg"}),
        ("media", {"/v.mp4"}),
        ("fonts", {"/f.woff2"}),
    ],
)
def test_resource_of_a_blocked_kind_is_not_requested(render: Bench, site: Site, kind: str, paths: set[str]) -> None:
    all_paths = {"/i.png", "/b.png", "/s.svg", "/v.mp4", "/f.woff2", "/x.js"}
    html = (
        "<style>@font-face { font-family: f; src: url(/f.woff2) } p { font-family: f; background: url(/b.png) }</style>"
        "<p>text</p><img src=/i.png><img src=/s.svg><video src=/v.mp4 preload=auto></video><script src=/x.js></script>"
    )
    answer = render(site.page("/k", html), options={"block": [kind]})
    assert set(site.paths()) & all_paths == all_paths - paths
    assert _tidied(answer).blocked == {kind: len(paths)}
    assert {path.rpartition("/")[2] for path in _tidied(answer).urls} == {path[1:] for path in paths}
    assert text_of(answer).strip() == "text"


def test_ads_and_trackers_of_known_third_parties_are_blocked(render: Bench, site: Site) -> None:
    html = (
        "<p>text</p><iframe src='http://ad.doubleclick.net/frame' width=300 height=2000></iframe>"
        "<script src='http://www.google-analytics.com/a.js?x=secret'></script>"
    )
    answer = render(site.page("/a", html), options={"block": ["ads", "trackers"]})
    assert _tidied(answer).blocked == {"ads": 1, "trackers": 1}
    assert set(_tidied(answer).urls) == {"http://ad.doubleclick.net/frame", "http://www.google-analytics.com/a.js"}
    assert len(read_pdf(answer).pages) == 1, "the ad left a hole"
    assert answer.report is not None
    assert answer.report.network["refused"] == 0


def test_page_of_an_advertiser_is_printed_whole(render: Bench) -> None:
    answer = render(
        "http://www.doubleclick.net/", html="<p>we</p><img src=http://ad.doubleclick.net/i>", options={"block": ["ads"]}
    )
    assert _tidied(answer).blocked == {}
    assert text_of(answer).strip() == "we"


def test_page_given_as_html_is_not_blocked_as_an_image(render: Bench) -> None:
    answer = render("http://nowhere.invalid/a.png", html="<p>text</p>", options={"block": ["images"]})
    assert text_of(answer).strip() == "text"


BANNERS = {
    "Onetrust": """<div id=onetrust-consent-sdk><div id=onetrust-banner-sdk style="position: fixed; bottom: 0">
        <p>cookies?</p><button id=onetrust-accept-btn-handler onclick="answer('yes')">Accept all</button>
        <button id=onetrust-reject-all-handler onclick="answer('no')">Reject all</button></div></div>""",
    "HEURISTIC-REJECT": """<div id=b style="position: fixed; bottom: 0; width: 100%; z-index: 99; background: white">
        <p>We use cookies and similar technologies to improve your experience on our website. You can accept or reject
        all cookies.</p><button onclick="answer('yes')">Accept all</button>
        <button onclick="answer('no')">Reject all</button></div>""",
}
ANSWER = """<script>function answer(word) {
    for (const b of document.querySelectorAll('#b, #onetrust-consent-sdk')) b.remove();
    document.querySelector('h1').textContent = 'answered ' + word;
}</script><h1>question</h1>"""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives banners time for a busy machine; the waits end when the page reports."""
    monkeypatch.setattr(consent, "REJECT_SECONDS", PATIENCE)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("late", [0, 400])
@pytest.mark.parametrize("banner", BANNERS)
def test_cookie_banner_is_rejected(render: Bench, site: Site, banner: str, late: int) -> None:
    html = f"""{ANSWER}<template>{BANNERS[banner]}</template><script>
        setTimeout(() => document.body.append(document.querySelector('template').content), {late})</script>"""
    url = site.page("/banner", html)
    assert "cookies" in text_of(render(url)) or late
    answer = render(url, options={"consent": "reject"})
    assert text_of(answer).strip() == "answered no"
    assert _tidied(answer).consent == "rejected"
    assert _tidied(answer).banner == banner


@pytest.mark.usefixtures("patient")
def test_cookie_banner_in_a_frame_is_rejected(render: Bench, site: Site) -> None:
    site.page(
        "/frame",
        """<div id=piano-cookie_banner>cookies?
        <button data-close-button onclick="document.body.textContent = 'answered'">no</button></div>""",
    )
    url = site.page("/f", "<p>text</p><iframe src=/frame></iframe>")
    answer = render(url, options={"consent": "reject"})
    assert (_tidied(answer).consent, _tidied(answer).banner) == ("rejected", "piano.io")
    assert text_of(answer).split() == ["text", "answered"]


def test_banner_that_can_only_be_accepted_is_not_answered(render: Bench, site: Site) -> None:
    only_yes = BANNERS["HEURISTIC-REJECT"].replace("Reject all", "Read more").replace("or reject", "")
    answer = render(site.page("/y", ANSWER + only_yes), options={"consent": "reject"})
    assert "question" in text_of(answer)
    assert _tidied(answer).consent in {"none", "failed"}


@pytest.mark.usefixtures("patient")
def test_page_without_a_banner_does_not_take_the_whole_wait(render: Bench, site: Site) -> None:
    url = site.page("/none", "<p>text</p>")
    answer = render(url, options={"consent": "reject"})
    assert _tidied(answer).consent == "none"
    assert answer.report is not None
    assert answer.report.phases["settle"] < PATIENCE * 1000
    assert text_of(answer).strip() == "text"


def test_page_may_send_any_message_to_the_binding(render: Bench, site: Site) -> None:
    html = """<p>text</p><script>
        for (const message of [null, 1, {}, {type: 'init'}, {type: 'eval', code: '1'}, {type: 'cmpDetected', cmp: {}},
            {type: 'report', state: null}, {type: 'popupFound', cmp: 'x'.repeat(1e5)}]) autoconsentSendMessage(message);
        for (let n = 0; n < 100; n++) autoconsentSendMessage({type: 'init', url: 'x'.repeat(100)});
        autoconsentReceiveMessage = () => { throw 1 };
        </script>"""
    answer = render(site.page("/talk", html), options={"consent": "reject"})
    assert text_of(answer).strip() == "text"
    assert _tidied(answer).consent == "failed"
