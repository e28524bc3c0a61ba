"""Tests which hosts a block list covers, and which rules of autoconsent a document gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from functions.render.page.blocking import HostList
from functions.render.page.tidy_lists import TidyLists


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("ads.example", "*.ads.example"),
        ("a.b.ads.example", "*.ads.example"),
        ("badads.example", None),
        ("ads.example.org", None),
        ("exact.example", "exact.example"),
        ("below.exact.example", None),
        ("example", None),
        ("", None),
    ],
)
def test_host_is_covered_by_its_domain_or_a_parent_domain(host: str, found: str | None) -> None:
    assert HostList(["*.ads.example", "exact.example"]).match(host) == found


def test_document_gets_the_rules_that_may_fit_it(tmp_path: Path) -> None:
    def rule(name: str, pattern: str, context: int) -> list[object]:
        return [1, name, 2, pattern, context, [], [], [], [], [], {}]

    rules = {
        "v": 1,
        "s": ["general", "frame", "own"],
        "r": [
            rule("top", "", 10),
            rule("both", "", 11),
            rule("frame", "", 1),
            rule("own", "^https://own\\.", 12),
            rule("unreadable", "(?<=a+)b", 22),  # valid in JavaScript only: Python needs a fixed width
        ],
        "index": {"genericRuleRange": [0, 3], "frameRuleRange": [1, 3], "genericStringEnd": 1, "frameStringEnd": 2},
    }
    (tmp_path / "autoconsent-rules.json").write_text(json.dumps(rules))
    lists = TidyLists(tmp_path)

    def names(url: str, *, top: bool) -> list[str]:
        return [found[1] for found in lists.consent_rules(url, top=top)["r"]]

    assert names("https://own.example/", top=True) == ["top", "both", "frame", "own", "unreadable"]
    assert names("https://other.example/", top=True) == ["top", "both", "frame", "unreadable"]
    assert names("https://own.example/", top=False) == ["both", "frame"]
    assert lists.consent_rules("https://own.example/", top=False)["s"] == ["general", "frame"]


def test_built_lists_cover_what_the_options_promise() -> None:
    folder = Path(__file__).parents[3] / ".urlshot" / "layers" / "ChromiumLayer" / "chromium" / "tidy"
    if not folder.is_dir():
        pytest.skip("no layer is built")
    lists = TidyLists(folder)
    assert lists.hosts["ads"].match("securepubads.g.doubleclick.net")
    assert lists.hosts["trackers"].match("www.google-analytics.com")
    for name in ("ads", "trackers"):
        assert lists.hosts[name].match("fonts.googleapis.com") is None
        assert lists.hosts[name].match("cdn.jsdelivr.net") is None
    assert len(lists.consent_rules("https://example.com/", top=True)["r"]) > 100
    assert "autoconsentReceiveMessage" in lists.consent_script
