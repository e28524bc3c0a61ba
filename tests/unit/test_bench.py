"""The parts of the benchmark that parse and decide: ratios, tables, checks of PDFs, processes, and missing peers."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.settings import PROJECT
from tests.bench import report
from tests.bench.check import missing, squeeze
from tests.bench.figures import NAMES, best_peer, line, quartiles, ratios
from tests.bench.handover import fastest
from tests.bench.handover_report import rows, stages
from tests.bench.machine import cpu_model
from tests.bench.pages import MIXED, PAGES, Page
from tests.bench.peers_install import PINS, NotInstalled, install
from tests.bench.plots import cold_plot, ticks, warm_plot
from tests.bench.processes import Process, Tree, below, kill, parsed
from tests.bench.rate import Rate
from tests.bench.site import answers
from tests.bench.tools import Tool, environment_of, missing_reason, tools

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
        "handover": {},
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
    found = json.loads((PROJECT / "docs" / "bench.json").read_text("utf-8"))
    assert report.DOCUMENT.read_text("utf-8") == report.document(found), "run `python -m tests.bench documents`"
    assert report.WARM_PLOT.read_text("utf-8") == warm_plot(found)
    assert report.COLD_PLOT.read_text("utf-8") == cold_plot(found)
    assert found["line"] == ratios(found)


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
    assert report.document(empty).count("Not measured yet.") == 5
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


# ---- pages and checks --------------------------------------------------------------------------------------------


def test_pages_are_of_at_least_ten_kinds_and_expect_something() -> None:
    assert len({page.name for page in PAGES}) == len(PAGES) >= 10
    assert all(page.texts for page in PAGES)
    assert set(MIXED) <= {page.name for page in PAGES if not page.late}


def test_server_has_everything_that_the_pages_name(tmp_path: Path) -> None:
    named = {name for page in PAGES for name in re.findall(r"""(?:src="|href="|url\(|fetch\(")([\w./-]+)""", page.html)}
    for name in named:
        if name.startswith("font/"):
            (tmp_path / Path(name).name).write_bytes(b"font")
    assert len(named) > 90
    assert {f"/{name}" for name in named} <= answers(tmp_path).keys()


def pdf(*lines: str, sheets: int = 1) -> bytes:
    """Makes a PDF with the same lines of text in Helvetica on each sheet."""
    shown = " ".join(f"1 0 0 1 72 {700 - 20 * number} Tm ({text}) Tj" for number, text in enumerate(lines))
    content = f"BT /F1 12 Tf {shown} ET"
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + sheets))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {sheets} /MediaBox [0 0 595 842]"
        f" /Resources << /Font << /F1 {font} >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        *["<< /Type /Page /Parent 2 0 R /Contents 3 0 R >>"] * sheets,
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(bodies) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF\n".encode()


@pytest.mark.parametrize(
    ("page", "printed", "expected"),
    [
        (Page("p", "", "", ("Order 80",)), pdf("Order 80"), []),
        (Page("p", "", "", ("Order 80",)), pdf("Order", "80"), []),
        (Page("p", "", "", ("Order 80", "All")), pdf("Loading"), ["“Order 80”", "“All”"]),
        (Page("p", "", "", ("a",), absent=("Loading",)), pdf("a Loading"), ["(shows “Loading” instead)"]),
        (Page("p", "", "", ("a",), sheets=3), pdf("a", sheets=3), []),
        (Page("p", "", "", ("a",), sheets=3), pdf("a", sheets=2), ["sheets: 2 of 3"]),
        (Page("p", "", "", ("a",), images=2), pdf("a"), ["pictures: 0 of 2"]),
        (Page("p", "", "", ("a",), fonts=("Courier|Helv",)), pdf("a"), []),
        (Page("p", "", "", ("a",), fonts=("Courier",)), pdf("a"), ["the font Courier"]),
        (Page("p", "", "", ("a",), glyphs="abcxyz"), pdf("abcxyz"), []),
        (Page("p", "", "", ("a",), glyphs="港口在"), pdf("a"), ["most glyphs"]),
        (Page("p", "", "", ("a",)), b"<html>", ["it is no PDF"]),
        (
            Page("p", "", "", ("a",)),
            b"%PDF-1.4 broken",
            ["it cannot be read"],
        ),
        (Page("p", "", "", ("a",)), b"", ["it is no PDF"]),
    ],
)
def test_missing_content_of_a_pdf_is_named(page: Page, printed: bytes, expected: list[str]) -> None:
    assert missing(page, printed) == expected


@given(st.text(alphabet="ab \n\t\u00ad\ufffe"))
def test_squeezed_text_has_neither_space_nor_soft_hyphen(text: str) -> None:
    assert squeeze(text) == re.sub("[^ab]", "", text)


# ---- processes and tools -----------------------------------------------------------------------------------------


def test_line_of_the_process_table_is_parsed_whatever_its_name() -> None:
    fields = "S 41 1 1 0 -1 4194560 1 2 3 4 150 50 1000 200 20 0 1 0 5 6 7"
    assert parsed(f"42 (a (b) c) {fields}").parent == 41
    assert parsed(f"42 (a (b) c) {fields}").begun == 5
    assert parsed(f"42 ()) {fields}").seconds < parsed(f"42 (x) {fields}").reaped


def test_descendants_are_found_and_others_are_not() -> None:
    table = {pid: Process(parent, 0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 4))}
    assert below(table, 2) == {2, 3, 4, 6}
    assert below(table, 9) == set()


def test_own_process_has_time_and_memory() -> None:
    tree = Tree(os.getpid())
    assert os.getpid() in tree.pids()
    assert tree.seconds() > 0 and tree.private_bytes() > 1_000_000


def test_processes_are_killed_by_id_and_start_and_no_others_are() -> None:
    with subprocess.Popen(["sleep", "600"]) as one, subprocess.Popen(["sleep", "600"]) as other:
        try:
            members = Tree(one.pid).members()
            assert members.keys() == {one.pid}
            kill(members | {other.pid: -1})  # a later process with the id of an earlier one
            assert one.wait(60) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            other.kill()


def test_model_of_the_processor_is_read() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: A  CPU @ 2 GHz\nmodel name\t: B\n") == "A CPU @ 2 GHz"
    assert cpu_model("nothing") != ""


def test_peer_that_cannot_be_installed_is_named_and_the_others_are_installed() -> None:
    done = []

    def broken() -> None:
        raise NotInstalled("no network")

    missing = install({("a", "b"): broken, ("c",): lambda: done.append("c")})
    assert missing == {"a": "no network", "b": "no network"}
    assert done == ["c"]


def test_tool_is_missing_with_the_reason_of_its_installation_or_its_program() -> None:
    one = Tool("a", "A", "", command=("sh", "{url}"))
    assert missing_reason(one, {}) is None
    assert missing_reason(one, {"a": "no network"}) == "no network"
    assert missing_reason(Tool("b", "B", "", worker=("/nowhere/a-tool",)), {}) == "a-tool is not installed"


def test_environment_of_a_tool_has_nothing_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    for one in tools("127.0.0.1:80"):
        found = environment_of(one, Path("/scratch"))
        assert "AWS_SECRET_ACCESS_KEY" not in found
        assert found["TMPDIR"] == found["HOME"] == "/scratch"
        assert not any("{" in value for value in found.values())


def test_pins_of_the_peers_carry_no_registry() -> None:
    lock = json.loads((PINS / "package-lock.json").read_text("utf-8"))
    assert len(lock["packages"]) > 5
    assert not any("resolved" in package for package in lock["packages"].values())
    pinned = json.loads((PINS / "package.json").read_text("utf-8"))["dependencies"].values()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned)
