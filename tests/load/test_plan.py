"""The load has the wanted shares of pages, and repeats only pages that were requested before."""

from __future__ import annotations

from collections import Counter

from tests.load.run import JOINED_WITHIN, check_renders, plan


def test_plan_has_all_shares_and_repeats_known_pages() -> None:
    wanted = plan(1000, "site", 3)
    assert len(wanted) == 10_000 and sum(first for _, first in wanted) == 1000
    seen: set[str] = set()
    for url, first in wanted:
        assert first == (url not in seen)
        seen.add(url)
    kinds = Counter(url.split("/")[3] for url in seen)
    assert kinds == {"page": 970, "missing": 20, "hanging": 10}
    assert wanted == plan(1000, "site", 3) != plan(1000, "site", 4)


def test_page_that_was_not_rendered_once_is_found() -> None:
    found = check_renders(Counter({"a": 1, "b": 2}), {"a", "b", "c"})
    assert [one.text for one in found] == ["b was rendered 2 times", "c was rendered 0 times"]


def test_page_that_never_comes_is_repeated_only_while_its_job_is_open() -> None:
    wanted = plan(1000, "site", 3)
    begun: dict[str, int] = {}
    repeats = Counter[str]()
    for at, (url, first) in enumerate(wanted):
        if "/hanging/" in url:
            begun.setdefault(url, at)
            repeats[url] += not first
            assert at <= begun[url] + JOINED_WITHIN
    assert repeats.total() >= 5
