"""The part of docs/bench.md about the cost of a thousand PDFs at each memory size."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.cost import cheapest, dollars, gb_seconds, job_ms
from tests.bench.figures import Results
from tests.bench.markdown import UNMEASURED, blocks, dated, prose, spread, table
from tests.bench.pages import LARGE

DEFAULT = 2048
"""The default of `RenderMemory` in template.yaml."""
WAIT_MS = 1000
"""A wait for the network, for the price of a page that waits."""

_LARGE = {page.name: page.title for page in LARGE}


def size_rows(sizes: dict[str, Any]) -> list[list[str]]:
    """Returns a row for each memory size."""
    rows = []
    for name, one in sizes.items():
        memory, took, cold = int(name), job_ms(one["ms"]), statistics.median(one["cold_ms"])
        rows.append([
            f"{memory:,}",
            f"{one['cpus']:.2f}",
            f"{took:,.0f}",
            f"{one['processor_ms']:,.0f}",
            f"{1000 * gb_seconds(memory, took):,.0f}",
            f"{1000 * dollars(memory, took):.4f}",
            f"{1000 * dollars(memory, took + WAIT_MS):.4f}",
            spread(one["cold_ms"]),
            f"{1000 * dollars(memory, cold):.4f}",
        ])  # fmt: skip
    return rows


def page_rows(results: Results) -> list[list[str]]:
    """Returns a row for each page: its median at each memory size in ms, and its memory in MB."""
    found = results["cost"]
    return [
        [
            results["pages"].get(page, {}).get("title", page),
            *(f"{statistics.median(one['ms'][page]):,.0f}" for one in found["sizes"].values()),
            f"{memory:,}",
        ]
        for page, memory in found["memory_mb"].items()
        if page not in _LARGE
    ]


def large_rows(results: Results) -> list[list[str]]:
    """Returns a row for each page that needs much memory: its title and its memory in MB."""
    return [[_LARGE[page], f"{memory:,}"] for page, memory in results["cost"]["memory_mb"].items() if page in _LARGE]


def why_default(found: dict[str, Any]) -> str:
    """Returns a sentence that compares the default size with the cheapest one; empty if they are the same."""
    best = cheapest(found)
    if best == DEFAULT:
        return ""
    cheap, default = (found["sizes"][str(memory)] for memory in (best, DEFAULT))
    took, ours = job_ms(cheap["ms"]), job_ms(default["ms"])
    saved, more = (1 - dollars(best, took + wait) / dollars(DEFAULT, ours + wait) for wait in (0, WAIT_MS))
    cold = statistics.median(default["cold_ms"]) / statistics.median(cheap["cold_ms"])
    return (
        f"`RenderMemory` is {DEFAULT:,} MB by default all the same, because larger pages fit into it, a job takes"
        f" {ours / took:.2f} of the time and a cold start {cold:.2f}. If your pages are small, {best:,} MB save"
        f" {saved:.0%}, and {more:.0%} if a page waits a second longer for the network."
    )


def cost_part(results: Results) -> str:
    """Returns the part of the document."""
    found = results["cost"]
    if not found:
        return blocks("## Cost", UNMEASURED)
    prices, sizes = found["prices"], found["sizes"]
    most = max(memory for page, memory in found["memory_mb"].items() if page not in _LARGE)
    return blocks(
        "## Cost",
        prose(
            f"{dated(results, 'cost')} `render` in a control group with the share of a CPU that Lambda gives for its"
            " memory: 1,769 MB are one vCPU. A job is the mean over the pages below, `settled`, from the job to the PDF"
            f" in the answer; the upload to S3 is not in it. The machine's load was {found['load']:g}. A cold start"
            " ends with the first PDF of the table. Prices:"
            f" {prices['gb_second']:.10f} USD for a GB-second and {prices['request'] * 1e6:.2f} for a million requests,"
            f" x86, {prices['region']}, as of {prices['date']} ({prices['source']})."
        ),
        table(
            (
                "MB", "CPUs", "ms for a job", "of processor time", "GB-seconds for 1,000", "USD for 1,000",
                "waiting 1 s longer", "cold start, ms", "USD for 1,000 cold starts",
            ),
            size_rows(sizes),
        ),
        prose(
            f"{cheapest(found):,} MB cost least; of sizes whose prices differ by less than 1 %, the larger one counts."
            f" {why_default(found)} The other functions and services cost the same at each size of `render`;"
            " [Deploying](deploy.md) has them."
        ),
        prose(
            f"The processes need {most:,} MB at most for the pages of the comparison, and more for large ones, nearly"
            " all of it in Chromium. If the memory does not suffice, the job fails as `too_much_memory`."
        ),
        table(("large page", "memory, MB"), large_rows(results)),
        table(("page, ms", *(f"{int(memory):,} MB" for memory in sizes), "memory, MB"), page_rows(results)),
    )  # fmt: skip
