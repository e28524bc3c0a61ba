"""The parts of the benchmark about cost, jobs and scale: prices, percentiles, tables, and quotas of control groups."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.settings import PROJECT
from infra.local.template.evaluator import load_template
from tests.bench import cpu
from tests.bench.cost import cheapest, cpus_of, dollars, gb_seconds, job_ms
from tests.bench.cost_report import DEFAULT, cost_part, large_rows, page_rows, size_rows, why_default
from tests.bench.end_to_end import sizes
from tests.bench.end_to_end_report import end_to_end_part, job_rows, p95, stage_rows
from tests.bench.plots import curve_plot
from tests.bench.scale import PER_HOUR, SLOW_SHARES, bench_pages
from tests.bench.scale_report import check_rows, document, limit_rows, parameter_rows, plan_rows

DATES = {"cost": "2026-01-02T03:04+00:00", "end_to_end": "2026-01-02T03:04+00:00", "scale": "2026-01-02T03:04+00:00"}


def size(cpus: float, *times: float) -> dict[str, Any]:
    pages = {"small": list(times), "table": [3 * took for took in times]}
    return {"cpus": cpus, "ms": pages, "cold_ms": [900, 1000], "processor_ms": 150}


@pytest.fixture
def results() -> dict[str, Any]:
    jobs = {
        "10": {"load": 1, "per_second": 9, "cpu_ms": {"aws": 40.0, "settle": 15.0}, "calls": {"settle": {"S3 GET": 2}}},
        "1000": {"load": 2, "per_second": 8, "cpu_ms": {"aws": 50.0, "settle": 14.0, "log": 0.01},
                 "calls": {"settle": {"S3 GET": 2.01, "S3 PUT": 3}}},
    }  # fmt: skip
    plans = [
        {"pages": kind, "per_hour": rate, "slow_share": share, "slots": 1 + rate // 1000, "utilisation": 0.5,
         "wait_p50": 0.0, "wait_p95": 0.25}
        for kind in ("bench", "web") for rate in PER_HOUR for share in SLOW_SHARES
    ]  # fmt: skip
    check = {
        "slots": 4, "utilisation": 0.8, "slow_share": 0.05, "per_hour": 4000, "load": 1.5,
        "predicted": {"p50": 0.1, "p95": 2.5}, "measured": {"p50": 0.2, "p95": 2.6},
    }  # fmt: skip
    return {
        "dates": DATES,
        "pages": {"small": {"title": "small page"}},
        "warm": {
            "small": {"settled": {"ms": [100, 200, 900]}},
            "table": {"settled": {"ms": [600]}, "floor": {"ms": [9]}},
        },
        "handover": {"handing_over": {"per_second": 96.0, "cpu_ms": {"dispatch": 7.3}}},
        "end_to_end": {"stages_ms": {"POST to done": [100.0, 200.0, 300.0]}, "idle_load": 0.5, "jobs": jobs},
        "cost": {
            "sizes": {"1024": size(0.58, 400, 410), "1769": size(1.0, 230), "2048": size(1.16, 200)},
            "memory_mb": {"small": 300, "table": 410, "photos": 870}, "load": 1,
            "prices": {"gb_second": 0.0000166667, "request": 2e-7, "region": "R", "date": "D", "source": "S"},
        },
        "scale": {"plans": plans, "checks": [check], "curves": {"0": [(0.5, 0.1), (0.9, 20.0)]}},
    }  # fmt: skip


@pytest.mark.parametrize(("memory", "cpus"), [(1024, 0.58), (1769, 1.0), (2048, 1.16), (3538, 2.0)])
def test_share_of_a_cpu_follows_the_memory(memory: int, cpus: float) -> None:
    assert cpus_of(memory) == pytest.approx(cpus, abs=0.005)
    assert cpu.quota_us(cpus) == pytest.approx(cpus * cpu.PERIOD_US)


@pytest.mark.parametrize(("memory", "took", "expected"), [(1024, 1000, 1.0), (2048, 999.2, 2.0), (2048, 1, 0.002)])
def test_gb_seconds_are_rounded_up_to_a_millisecond(memory: int, took: float, expected: float) -> None:
    assert gb_seconds(memory, took) == pytest.approx(expected)


def test_price_has_duration_storage_and_request() -> None:
    assert dollars(1024, 1000) == pytest.approx(0.0000166667 + 0.5 * 0.0000000309 + 0.0000002)


def test_cheapest_size_is_the_larger_one_of_equal_prices(results: dict[str, Any]) -> None:
    found = results["cost"]
    assert job_ms(found["sizes"]["1024"]["ms"]) == pytest.approx(405 * 2)
    assert cheapest(found) == 2048
    found["sizes"]["2048"] = size(1.16, 300)
    assert cheapest(found) == 1769


@given(st.lists(st.floats(0.1, 1e6), min_size=1))
def test_p95_is_within_the_values(values: list[float]) -> None:
    assert min(values) * 0.999 <= p95(values) <= max(values) * 1.001


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [1]), (10, [10]), (11, [10, 11]), (1000, [10, 100, 1000]), (5000, [10, 100, 1000, 5000])]
)
def test_sizes_are_powers_of_ten_and_the_largest(most: int, expected: list[int]) -> None:
    assert sizes(most) == expected


def test_job_rows_have_all_kinds_and_the_sum_without_moto(results: dict[str, Any]) -> None:
    head, rows = job_rows(results["end_to_end"]["jobs"])
    assert head == ["jobs", "load", "a second", "`settle`", "moto", "all without moto", "all"]
    assert rows[1] == ["1,000", "2", "8", "14.0", "50.0", "14.0", "64.0"]


def test_stage_rows_have_median_and_p95(results: dict[str, Any]) -> None:
    assert stage_rows(results["end_to_end"]["stages_ms"]) == [["POST to done", "200.0", "290.0"]]


def test_rows_of_the_cost_have_every_size_and_page(results: dict[str, Any]) -> None:
    rows = size_rows(results["cost"]["sizes"])
    assert [row[0] for row in rows] == ["1,024", "1,769", "2,048"]
    assert rows[2][2:5] == ["400", "150", "800"]
    assert page_rows(results)[0] == ["small page", "405", "230", "200", "300"]


def test_large_pages_have_rows_of_their_own(results: dict[str, Any]) -> None:
    assert len(page_rows(results)) == 2
    assert large_rows(results) == [["ten photographs of 3,000 x 2,000 pixels", "870"]]


def test_default_size_is_explained_unless_it_is_the_cheapest(results: dict[str, Any]) -> None:
    found = results["cost"]
    assert why_default(found) == ""
    found["sizes"]["1024"] = size(0.58, 300)
    assert "a job takes 0.67 of the time" in why_default(found)
    assert "1,024 MB save 25%, and 43% if a page waits a second longer" in why_default(found)


def test_default_size_is_that_of_the_template() -> None:
    assert load_template(PROJECT / "template.yaml")["Parameters"]["RenderMemory"]["Default"] == DEFAULT


def test_rows_of_the_scale_have_every_rate(results: dict[str, Any]) -> None:
    assert len(plan_rows(results["scale"]["plans"])) == 2 * len(PER_HOUR)
    assert [row[0] for row in parameter_rows(results["scale"]["plans"])] == ["100", "1,000", "10,000", "100,000"]
    assert parameter_rows(results["scale"]["plans"])[3][1:4] == ["101", "101", "26"]
    assert check_rows(results["scale"]["checks"])[0][4:8] == ["0.10", "0.20", "2.50", "2.60"]
    assert bench_pages(results) == pytest.approx((0.2, 0.6))


def test_limits_are_in_order_and_the_hand_over_has_its_cpu_share(results: dict[str, Any]) -> None:
    each = [int(row[2].replace(",", "")) for row in limit_rows(results)]
    assert each == sorted(each)
    assert round(1000 * 1024 / 1769 / 7.3 * 3600) in each


def test_parts_without_figures_say_so(results: dict[str, Any]) -> None:
    empty = results | {"cost": {}, "end_to_end": {}, "scale": {}}
    assert all("Not measured yet." in text for text in (cost_part(empty), end_to_end_part(empty), document(empty)))


def test_documents_have_no_line_above_the_width_outside_of_tables(results: dict[str, Any]) -> None:
    for text in (cost_part(results), end_to_end_part(results), document(results)):
        assert all(len(line) <= 120 or line.startswith(("|", "!")) for line in text.splitlines())


def test_curves_are_drawn_as_xml(results: dict[str, Any]) -> None:
    text = curve_plot("A < B", {"5% slow": [(0.5, 0.1), (0.9, 20.0)]})
    drawn = ElementTree.fromstring(text)  # noqa: S314 - our own SVG
    assert len(drawn.findall("{*}polyline")) == 1


@pytest.mark.skipif(not cpu.available(), reason="needs root and control groups of version 1")
def test_group_limits_a_process_that_always_computes() -> None:
    with cpu.limited(0.2) as within:
        began, before = time.monotonic(), os.times()
        subprocess.run([*within, "timeout", "2", "sh", "-c", "while :; do :; done"], check=False)
        took, after = time.monotonic() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used <= 0.3 * took
