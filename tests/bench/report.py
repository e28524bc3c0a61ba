"""Writes docs/bench.md, docs/scale.md and the plots from the results of docs/bench.json."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from typing import Any

from infra.local.settings import PROJECT
from tests.bench.cost_report import cost_part
from tests.bench.end_to_end_report import end_to_end_part
from tests.bench.figures import FLOOR, NAMES, OURS, SETTLED, Results, best_peer, ratios, warm_ms
from tests.bench.handover_report import handover_part
from tests.bench.markdown import UNMEASURED, blocks, dated, prose, spread, table
from tests.bench.plots import cold_plot, warm_plot
from tests.bench.scale_report import write_scale

DOCUMENT = PROJECT / "docs" / "bench.md"
WARM_PLOT, COLD_PLOT = PROJECT / "docs" / "bench-warm.svg", PROJECT / "docs" / "bench-cold.svg"
MARK = "†"
"""Marks a time whose PDF lacks something."""
LACKS = 60
"""Longest text about what a PDF lacks, in characters."""
MEANINGS = {
    "warm_over_floor": "urlshot with `wait_until: load`, sum of all pages, divided by the floor's",
    "warm_over_best_peer": "the same divided by the fastest peer of each page; only complete PDFs count",
    "settled_over_floor": "urlshot as it is by default, on the pages that are done at the load event, divided by the"
    " floor's",
    "cold_over_best_peer": "cold start until the first PDF, divided by that of puppeteer-core with @sparticuz/chromium;"
    " the worse one of 1 and 2 CPUs",
    "throughput_over_floor": "PDFs per second, sum of all numbers of jobs, divided by the floor's",
    "api_hit_over_floor": "`api` answers a hit, divided by its bare calls",
    "api_miss_over_floor": "`api` accepts a new job, divided by its bare calls",
    "behind_slow": "`POST` to done behind slow pages in three of four slots, divided by the time alone",
}


def write_documents(results: Results) -> None:
    """Writes the documents and the plots."""
    DOCUMENT.write_text(document(results), "utf-8")
    WARM_PLOT.write_text(warm_plot(results), "utf-8")
    COLD_PLOT.write_text(cold_plot(results), "utf-8")
    write_scale(results)


def as_json(results: Results) -> str:
    """Returns the results as JSON, with each list of numbers on one line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    return re.sub(r"\[\n\s+([-+\d.e,\s]+?)\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def document(results: Results) -> str:
    """Returns docs/bench.md."""
    parts = (
        _head, _warm_part, _cold_part, _throughput_part, _api_part, end_to_end_part, handover_part, cost_part,
        _sizes_part, _versions_part,
    )  # fmt: skip
    return blocks(*(part(results) for part in parts)) + "\n"


def warm_rows(results: Results) -> list[list[str]]:
    """Returns a row for each page with a cell for each tool that was measured, and the row of the sums."""
    names = measured(results)
    rows = []
    for page, cells in results["warm"].items():
        row = [results["pages"][page]["title"]]
        for name in names:
            cell = cells.get(name)
            shown = spread(cell["ms"]) if cell and cell["ms"] else "–"
            row.append(f"{shown} {MARK}" if cell and cell["lacks"] and cell["ms"] else shown)
        rows.append(row)
    sums = []
    for name in names:
        medians = [warm_ms(results, page, name) for page in results["warm"]]
        whole = [one for one in medians if one is not None]
        sums.append(f"{sum(whole):,.0f}" if len(whole) == len(medians) else "–")
    return [*rows, ["sum of the medians", *sums]]


def measured(results: Results) -> list[str]:
    """Returns the names of the tools that have a time on at least one page."""
    pages = results["warm"].values()
    return [name for name in results["tools"] if any(page.get(name, {}).get("ms") for page in pages)]


def lacking_rows(results: Results) -> list[list[str]]:
    """Returns a row for each page and tool whose PDF lacks something; equal lacks of a page share a row."""
    rows = []
    for page, cells in results["warm"].items():
        groups: dict[str, list[str]] = {}
        for name in measured(results):
            lacks = cells.get(name, {}).get("lacks")
            if lacks and cells[name]["ms"]:
                text = "; ".join(lacks)
                short = text if len(text) <= LACKS else text[: LACKS - 1].rstrip() + "…"
                groups.setdefault(short, []).append(results["tools"][name]["title"])
        rows += [[results["pages"][page]["title"], ", ".join(names), text] for text, names in groups.items()]
    return rows


def unexplained(results: Results) -> float:
    """Returns the share of our time, printed at load, that no phase of the reports covers."""
    cells = [page[OURS] for page in results["warm"].values() if page.get(OURS, {}).get("phases")]
    whole = sum(statistics.median(cell["ms"]) for cell in cells)
    return 1 - sum(statistics.median(cell["phases"]) for cell in cells) / whole if whole else 0.0


def _head(results: Results) -> str:
    machine = results["machine"]
    found = ratios(results)
    return blocks(
        "# Benchmarks",
        prose(
            "`make bench` measures urlshot beside what a user would pick instead, and writes this page, its plots, and"
            " [every figure](bench.json). `make bench QUICK=1` takes less than three minutes and changes no file."
        ),
        prose(
            f"All figures are from one machine: {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']:g} GB,"
            f" Linux {machine['kernel']}, with a load of {machine['load_before']:g} before the run. Nothing was"
            " measured on AWS. Times are medians in milliseconds, and the quartiles are in parentheses."
        ),
        table(("ratio", "", "what it is"), [[f"`{name}`", _ratio(found[name]), MEANINGS[name]] for name in NAMES]),
        prose(
            "The floor is a bare DevTools client to the layer's own browser: it makes a context, navigates, waits for"
            " the load event and prints. A peer is a tool that a user would pick instead."
        ),
    )


def _warm_part(results: Results) -> str:
    if not results["warm"]:
        return blocks("## Warm: from the job to the PDF", UNMEASURED)
    tools = results["tools"]
    names = measured(results)
    none = [results["pages"][page]["title"] for page in results["warm"] if best_peer(results, page) is None]
    left_out = f" No peer prints these pages completely: {', '.join(none)}." if none else ""
    return blocks(
        "## Warm: from the job to the PDF",
        "![The time for each page and tool, on a logarithmic scale](bench-warm.svg)",
        prose(
            f"{dated(results, 'warm')} Each tool is warm, in a process of its own, and the order changes in every"
            " round. In a round the floor and urlshot print each page three times, the others once. The pages come from"
            " a server on the same machine, which forbids caching. All tools print A4 with backgrounds, at the load"
            " event or when they do by default. urlshot loads pages through its egress proxy,"
            f" checks the PDF, and returns it with its report; {unexplained(results):.0%} of its time with `load` lies"
            " in no phase of the report. In a pause between two jobs it closes the page and makes the next one. On"
            " Lambda, which freezes it at its answer, it does that during the upload to S3, which no job here has;"
            " `render: start` under End to end is what then remains."
        ),
        table(("page", *(tools[name]["title"] for name in names)), warm_rows(results)),
        prose(f"{MARK} The PDF lacks something that the page shows, so the time is no win.{left_out}"),
        table(("page", "tools", "the PDF lacks"), lacking_rows(results)),
        table(
            ("tool", "how it runs", "result"),
            [[tool["title"], tool["how"], _state(name, tool, names)] for name, tool in tools.items()],
        ),
    )


def _state(name: str, tool: dict[str, Any], names: Sequence[str]) -> str:
    if tool["missing"]:
        return f"missing: {_cell(tool['missing'])}"
    if tool["failed"]:
        return f"fails on {len(tool['failed'])} pages and is not asked again; {_cell(tool['failed'][0])}"
    return "measured" if name in names else "not measured"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cold_part(results: Results) -> str:
    rows = []
    for cpus, runs in results["cold"].items():
        for name, run in runs.items():
            if run["ms"]:
                marks = {mark: statistics.median(took) for mark, took in run["marks"].items()}
                shown = (f"{marks[mark]:,.0f}" if mark in marks else "" for mark in ("imported", "inflated", "started"))
                rows.append([cpus, results["tools"][name]["title"], *shown, spread(run["ms"])])
    if not rows:
        return blocks("## Cold start", UNMEASURED)
    return blocks(
        "## Cold start",
        "![The time from a new process to its first PDF, with its stages](bench-cold.svg)",
        prose(
            f"{dated(results, 'cold')} From a new process with an empty temporary folder to the first PDF of the"
            " table, in turns. The files are in the machine's page cache. Playwright and the floor start urlshot's"
            " layer. They show what its parts cost, and are no peers here. The columns are the milliseconds until the"
            " code is imported, the browser is inflated, the tool is ready, and the PDF is there. urlshot imports its"
            " code while it inflates the browser."
        ),
        table(("CPUs", "tool", "imported", "inflated", "ready", "first PDF"), rows),
        "`make bench COLD=1` times the built functions in Lambda's image, with Docker.",
    )


def _throughput_part(results: Results) -> str:
    rows = []
    for size, tools in results["throughput"].items():
        for name, one in tools.items():
            memory = statistics.median(one["bytes_per_job"]) / 1e6
            title = results["tools"][name]["title"]
            rows.append([size, title, spread(one["per_second"], 1), spread(one["per_core_second"], 1), f"{memory:.0f}"])
    if not rows:
        return blocks("## Side by side", UNMEASURED)
    return blocks(
        "## Side by side",
        prose(
            f"{dated(results, 'throughput')} Each job has a process and a browser of its own. The processes print four"
            " of the pages in turn, without pauses. The memory is private and resident, at its largest."
        ),
        table(("jobs", "tool", "PDFs per second", "per second of processor time", "MB for each job"), rows),
    )


def _api_part(results: Results) -> str:
    api = results["api"]
    if not api:
        return blocks("## `api`", UNMEASURED)
    rows = [[kind, spread(api[kind]["api"], 1), spread(api[kind]["floor"], 1)] for kind in ("hit", "miss")]
    start = ", ".join(f"{name} {spread(took)}" for name, took in api["start"].items())
    return blocks(
        "## `api`",
        prose(
            f"{dated(results, 'api')} The handler beside the same calls of S3 and the same confirmed publish, made"
            " bare, in turns in one process, with moto and a real RabbitMQ. A hit takes one HEAD. A miss takes a HEAD,"
            " two conditional PUTs and a publish."
        ),
        table(("", "`api`", "its calls made bare"), rows),
        prose(f"A new process: {start}. Lambda's init phase, which has a whole CPU, imports and bootstraps."),
    )


def _sizes_part(results: Results) -> str:
    return blocks(
        "## Sizes",
        "`make sizes` builds for Lambda and checks each function with its layers against Lambda's limit.",
        table(("on Lambda, unzipped", "bytes"), [[name, f"{count:,}"] for name, count in results["sizes"].items()]),
    )


def _versions_part(results: Results) -> str:
    found = dict(results["versions"])
    for tool in results["tools"].values():
        found |= {name: version for name, version in tool["versions"].items() if name not in ("chromium", "python")}
    names = {OURS, SETTLED, FLOOR}
    browsers = {
        tool["title"]: tool["versions"]["chromium"].rpartition("/")[2]
        for name, tool in results["tools"].items()
        if "chromium" in tool["versions"] and name not in names - {FLOOR}
    }
    rows = [[name, version] for name, version in found.items()]
    rows += [[f"browser of {name}", version] for name, version in browsers.items()]
    return blocks("## Versions", table(("what", "version"), rows))


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
