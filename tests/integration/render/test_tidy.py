"""What callers want gone from a page is gone from its PDF, and what they want added is there."""

from __future__ import annotations

import pytest

from .conftest import Bench, Site, read_pdf, text_of

POLICY = "default-src 'none'; style-src 'none'; script-src 'none'"


def test_css_is_added_after_the_pages_own(render: Bench, site: Site) -> None:
    url = site.page("/c", "<style>h1 { text-transform: lowercase !important }</style><h1>Heading</h1>")
    css = "h1 { text-transform: uppercase !important } h1::after { content: ' added'; }"
    assert "HEADING ADDED" in text_of(render(url, options={"css": css}))


def test_css_and_hide_do_not_ask_the_pages_policy(render: Bench, site: Site) -> None:
    url = site.page("/p", "<p>kept</p><nav>menu</nav>", Content_Security_Policy=POLICY)
    answer = render(url, options={"css": "p::after { content: ' added' }", "hide": ["nav"]})
    assert text_of(answer).split() == ["kept", "added"]


def test_css_can_bring_a_break(render: Bench, site: Site) -> None:
    answer = render(site.page("/b", "<h1>a</h1><h1>b</h1>"), options={"css": "h1 + h1 { break-before: page }"})
    assert len(read_pdf(answer).pages) == 2


def test_css_holds_in_a_page_that_went_elsewhere_by_script(render: Bench, site: Site) -> None:
    site.page("/there", "<p>there</p><nav>menu</nav>")
    url = site.page("/here", "<script>setTimeout(() => location = '/there', 100)</script><img src=/hold.png>")
    site.hold.set()
    answer = render(url, options={"css": "p::after { content: ' added' }", "hide": ["nav"]})
    if "there" in text_of(answer):  # else it was printed before it went
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
def test_what_is_hidden_is_not_printed(render: Bench, site: Site, html: str, hide: list[str], left: list[str]) -> None:
    assert text_of(render(site.page("/h", html), options={"hide": hide})).split() == left


@pytest.mark.parametrize("selector", ["p{", "p { color: red } q", "::", "p, ,q", ">>>"])
def test_a_selector_that_is_none_is_named(render: Bench, site: Site, selector: str) -> None:
    answer = render(site.page("/h", "<p>text"), options={"hide": ["nav", selector]})
    assert answer.error is not None
    assert answer.error["code"] == "invalid_option"
    assert repr(selector) in answer.error["detail"]
    assert answer.error["field"] == "options.hide"
