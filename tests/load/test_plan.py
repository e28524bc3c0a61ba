"""The load has the wanted shares of pages, and repeats only pages that were requested before."""

from __future__ import annotations

from collections import Counter

from tests.load.__main__ import check_renders, percentiles, plan


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


def test_percentiles_are_those_of_the_values() -> None:
    assert percentiles([float(n) for n in range(101)]) == (50, 95, 99)
    assert percentiles([7.0]) == (7, 7, 7)
    assert percentiles([]) == (0, 0, 0)
