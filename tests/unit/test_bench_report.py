"""The figures and documents of the benchmark: ratios, the line, tables, marks and plots."""

from __future__ import annotations

import json
import re
import statistics
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.settings import PROJECT
from tests.bench import report, scale_report
from tests.bench.figures import NAMES, best_peer, line, quartiles, ratios
from tests.bench.handover import fastest
from tests.bench.handover_report import rows, stages
from tests.bench.plots import cold_plot, ticks, warm_plot
from tests.bench.rate import Rate

TIMES = st.lists(st.floats(min_value=0.1, max_value=1e6), min_size=1)


def cell(*times: float, lacks: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"ms": list(times), "lacks": list(lacks), "phases": [took / 2 for took in times]}


def tool(title: str, *, peer: bool = True, absent: str | None = None) -> dict[str, Any]:
    return {"title": title, "how": "somehow", "peer": peer, "versions": {}, "missing": absent, "failed": []}


@pytest.fixture
def results() -> dict[str, Any]:
    """Results of two pages: the second is late, and only urlshot prints it completely."""
    return {
        "machine": {"cpu": "A CPU", "cpus": 2, "memory_gb": 8, "kernel": "6.1", "load_before": 0.5},
        "versions": {"python": "3.13"},
        "dates": {"warm": "2026-01-02T03:04+00:00"},
        "pages": {"table": {"title": "a table", "late": False}, "app": {"title": "an app", "late": True}},
        "tools": {
            "floor": tool("floor", peer=False),
            "load": tool("urlshot `load`", peer=False),
            "settled": tool("urlshot `settled`", peer=False),
            "puppeteer": tool("Puppeteer"),
            "weasyprint": tool("WeasyPrint"),
            "wkhtmltopdf": tool("wkhtmltopdf", absent="no apt | here"),
        },
        "warm": {
            "table": {
                "floor": cell(90, 100, 110), "load": cell(120), "settled": cell(130), "puppeteer": cell(80),
                "weasyprint": cell(60, lacks=("“Chart”",)),
            },
            "app": {
                "floor": cell(50, lacks=("“Order”",)), "load": cell(60, lacks=("“Order”",)), "settled": cell(400),
                "puppeteer": cell(55, lacks=("“Order”",)),
            },
        },
        "cold": {
            "1": {"settled": {"ms": [3000, 1000], "marks": {}}, "puppeteer": {"ms": [4000], "marks": {}}},
            "2": {"settled": {"ms": [1500], "marks": {"started": [1200]}}, "puppeteer": {"ms": [2000], "marks": {}},
                  "floor": {"ms": [10], "marks": {}}},
        },
        "throughput": {
            "1": {"floor": {"per_second": [10], "per_core_second": [9], "bytes_per_job": [100_000_000]},
                  "load": {"per_second": [8], "per_core_second": [7], "bytes_per_job": [200_000_000]}},
            "2": {"floor": {"per_second": [20], "per_core_second": [9], "bytes_per_job": [100_000_000]},
                  "load": {"per_second": [19], "per_core_second": [7], "bytes_per_job": [200_000_000]}},
        },
        "api": {"hit": {"api": [2], "floor": [1]}, "miss": {"api": [3], "floor": [2]}, "start": {"import": [300]}},
        "handover": {}, "end_to_end": {}, "cost": {}, "scale": {},
        "sizes": {"A layer": 1234},
    }  # fmt: skip


# ---- ratios ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("warm_over_floor", (120 + 60) / (100 + 50)),
        ("warm_over_best_peer", 120 / 80),  # the app is left out: no peer prints it; WeasyPrint's table is no win
        ("settled_over_floor", 130 / 100),  # the app comes late
        ("cold_over_best_peer", 1500 / 2000),  # the worse one; the floor is no peer
        ("throughput_over_floor", 27 / 30),
        ("api_hit_over_floor", 2.0),
        ("api_miss_over_floor", 1.5),
        ("behind_slow", None),
    ],
)
def test_ratio_is_that_of_the_right_figures(results: dict[str, Any], name: str, expected: float | None) -> None:
    assert ratios(results)[name] == (pytest.approx(expected) if expected is not None else None)


def test_late_page_counts_with_settled_where_a_peer_prints_it(results: dict[str, Any]) -> None:
    results["warm"]["app"]["puppeteer"]["lacks"] = []
    assert ratios(results)["warm_over_best_peer"] == pytest.approx((120 + 400) / (80 + 55))


def test_ratio_without_figures_is_none(results: dict[str, Any]) -> None:
    empty = results | {part: {} for part in ("warm", "cold", "throughput", "api")}
    assert set(ratios(empty).values()) == {None}
    for runs in results["cold"].values():
        del runs["puppeteer"]
    assert ratios(results)["cold_over_best_peer"] is None


def test_best_peer_is_the_fastest_one_with_a_complete_pdf(results: dict[str, Any]) -> None:
    assert best_peer(results, "table") == ("puppeteer", 80)
    assert best_peer(results, "app") is None


def test_line_has_every_ratio_in_order(results: dict[str, Any]) -> None:
    shown = line(ratios(results))
    assert re.findall(r"(\w+)=", shown) == list(NAMES)
    assert shown.startswith("warm_over_floor=1.20 ") and shown.endswith(" behind_slow=skipped")


@given(TIMES)
def test_quartiles_are_in_order_and_within_the_values(values: list[float]) -> None:
    low, middle, high = quartiles(values)
    assert min(values) <= low <= middle <= high <= max(values)
    assert middle == pytest.approx(statistics.median(values))


# ---- documents ---------------------------------------------------------------------------------------------------


def test_documents_are_those_of_their_figures() -> None:
    text = (PROJECT / "docs" / "bench.json").read_text("utf-8")
    found = json.loads(text)
    assert report.DOCUMENT.read_text("utf-8") == report.document(found), "run `make bench PARTS=documents`"
    assert report.WARM_PLOT.read_text("utf-8") == warm_plot(found)
    assert report.COLD_PLOT.read_text("utf-8") == cold_plot(found)
    assert scale_report.DOCUMENT.read_text("utf-8") == scale_report.document(found)
    assert scale_report.PLOT.read_text("utf-8") == scale_report.plot(found)
    assert found["line"] == ratios(found)
    assert text == report.as_json(found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_json_is_that_of_the_results(results: Any) -> None:
    assert json.loads(report.as_json(results)) == results


def test_json_has_the_numbers_of_a_list_on_one_line(results: dict[str, Any]) -> None:
    assert '"ms": [90, 100, 110]' in report.as_json(results)
    assert json.loads(report.as_json({"text": "[  1,  2  ]"})) == {"text": "[  1,  2  ]"}


def test_time_of_an_incomplete_pdf_has_a_mark(results: dict[str, Any]) -> None:
    table, app, sums = report.warm_rows(results)
    assert table == ["a table", "100 (95–105)", "120", "130", "80", "60 †"]
    assert app == ["an app", "50 †", "60 †", "400", "55 †", "–"]
    assert sums == ["sum of the medians", "150", "180", "530", "135", "–"]


def test_what_a_pdf_lacks_is_named_once_for_all_tools(results: dict[str, Any]) -> None:
    assert report.lacking_rows(results) == [
        ["a table", "WeasyPrint", "“Chart”"],
        ["an app", "floor, urlshot `load`, Puppeteer", "“Order”"],
    ]


def test_document_names_missing_and_failing_tools(results: dict[str, Any]) -> None:
    results["tools"]["weasyprint"]["failed"] = ["a table: broken\npipe", "an app: broken"]
    text = " ".join(report.document(results).split())
    assert "missing: no apt \\| here" in text
    assert "fails on 2 pages and is not asked again; a table: broken pipe" in text
    assert "No peer prints these pages completely: an app." in text
    assert "50% of its time" in text


def test_document_of_no_figures_says_so(results: dict[str, Any]) -> None:
    empty = results | {part: {} for part in ("warm", "cold", "throughput", "api", "handover")}
    assert report.document(empty).count("Not measured yet.") == 7
    assert "Not measured yet." in warm_plot(empty) and "Not measured yet." in cold_plot(empty)


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314 - our own plot


def test_plots_are_xml_with_a_dot_or_bar_for_every_figure(results: dict[str, Any]) -> None:
    results["tools"]["puppeteer"]["title"] = "<Puppeteer> & Co."
    dots = [one for one in elements(warm_plot(results)) if one.tag.endswith("circle")]
    times, legend = 9, 5
    assert len(dots) == times + legend
    assert sum(dot.get("fill") == "#fff" for dot in dots) == 4
    bars = [one for one in elements(cold_plot(results)) if one.get("height") == "20"]
    assert len(bars) == 6  # one start has two stages


@given(st.floats(min_value=0, max_value=4), st.floats(min_value=1, max_value=2))
def test_ticks_of_a_scale_lie_on_it(low: float, decades: float) -> None:
    found = ticks(low, low + decades)
    assert len(found) >= 3
    assert all(10**low * 0.999 <= tick <= 10 ** (low + decades) * 1.001 for tick in found)


def test_stages_of_the_hand_over_are_summed_in_order() -> None:
    found = {"POST to done": 100.0, "POST to 202": 10.0, "claim": 3.0, "wait (taking a slot)": 1.0, "render: a": 5.0,
             "render: b": 6.0, "queue (publish, to dispatch)": 2.0, "record's end to message": 4.0}  # fmt: skip
    assert stages(found) == (
        "10 to the 202, 3 in the queue and for the slot, 3 for claim and hand-over, 11 to render,"
        " 4 to settle and announce"
    )


def test_rows_of_the_hand_over_name_the_largest_user_first() -> None:
    found = {
        "stages_ms": {"POST to done": 100.0}, "behind_slow_ms": [100, 110, 120], "behind_slow": 1.2,
        "behind_bulk_ms": [100, 300], "behind_bulk": 3.0, "behind_bulk_simulated_ms": [100, 105],
        "behind_bulk_simulated": 1.05, "throughput_over_direct": 0.9,
        "settling": {"per_second": 17, "cpu_ms": {"settle": 15, "aws": 43, "other": 2}},
        "handing_over": {"per_second": 96, "cpu_ms": {"dispatch": 7.26}},
    }  # fmt: skip
    shown = [figure for _, figure in rows(found)]
    assert "120 ms: 1.20 times as long (one slow page: 1.10)" in shown
    assert shown[-2].endswith("`dispatch` takes 7.3 ms of processor time for each")
    assert shown[-1] == "17 a second. Of 60 ms of processor time for a job, moto takes 43, `settle` 15"


def test_fastest_batch_size_is_kept() -> None:
    rates = [Rate(10, 50.0, {"dispatch": 7.0}), Rate(50, 80.04, {"dispatch": 6.0})]
    assert fastest(rates) == {"per_second": 80.0, "batch": 50, "cpu_ms": {"dispatch": 6.0}}
