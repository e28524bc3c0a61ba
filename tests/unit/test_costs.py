"""The documented cost of a thousand PDFs follows from the documented figures and prices."""

from __future__ import annotations

import json
import re

import pytest

from infra.local.settings import PROJECT
from infra.local.template.evaluator import load_template
from tests.unit.stacks import EVERYTHING, stack

FILES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("**/*.md"))]
[TEXT] = [text for file in FILES if "| of Lambda |" in (text := file.read_text("utf-8"))]
GB_SECOND, REQUEST = 0.0000166667, 0.20 / 1_000_000
CALL_MS, LEAST_MS, PROCESSOR_MB = 20, 5, 1769


def table(head: str) -> list[list[str]]:
    lines = TEXT[TEXT.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in lines]


def number(cell: str) -> float:
    return float(cell.replace(",", "").removesuffix(" more"))


LAMBDA, OTHERS = table("| of Lambda |"), table("| of other services |")


@pytest.mark.parametrize("row", LAMBDA, ids=lambda row: row[0])
def test_price_of_a_function_follows_from_its_figures(row: list[str]) -> None:
    name, (calls, waits, processor, memory, billed, price) = row[0], map(number, row[1:])
    [room] = re.findall(r"`(\w+)`", name)
    function = f"{room.capitalize()}Function"
    assert memory == int(stack(**EVERYTHING).functions[function].require("MemorySize"))
    assert billed == max(LEAST_MS, round(CALL_MS * calls + waits + processor * PROCESSOR_MB / memory))
    assert price == pytest.approx(1000 * (billed / 1000 * memory / 1024 * GB_SECOND + REQUEST), abs=0.00006)


def test_price_names_every_function() -> None:
    named = {f"{name.capitalize()}Function" for row in LAMBDA for name in re.findall(r"`(\w+)`", row[0])}
    made = stack(**EVERYTHING)
    assert named == made.functions.keys() - made.beside


def test_prices_of_other_services_and_the_sum_are_right() -> None:
    *rows, logs, together = OTHERS
    for _, count, price, cost in rows:
        assert number(cost) == pytest.approx(number(count) * number(price) / 1000, abs=0.00006)
    functions = sum(number(row[-1]) for row in LAMBDA if not row[-1].endswith("more"))
    assert f"{functions:.4f}" in together[0]
    whole = functions + sum(number(row[-1]) for row in (*rows, logs))
    assert number(together[-1]) == pytest.approx(whole, abs=0.00006)
    assert f"cost {whole:.2f} in all" in TEXT


def test_prices_are_those_of_the_dashboard_and_have_a_date() -> None:
    price = load_template(PROJECT / "infra" / "monitoring.yaml")["Parameters"]["GbSecondPrice"]
    assert float(price["Default"]) == GB_SECOND
    date = "November 2026"
    assert date in price["Description"] and f"prices of {date}" in TEXT


@pytest.mark.parametrize("function", ["settle", "dispatch"])
def test_processor_times_are_about_those_of_the_bench(function: str) -> None:
    """They differ from run to run, and a price need not change for that."""
    [cell] = [row[3] for row in LAMBDA if row[0] == f"`{function}`"]
    bench = json.loads((PROJECT / "docs" / "bench.json").read_text("utf-8"))
    measured = bench["handover"]["settling"]["cpu_ms"][function]
    assert number(cell) == pytest.approx(measured, rel=0.2, abs=1.0)
