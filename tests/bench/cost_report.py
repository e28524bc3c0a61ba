"""The part of docs/bench.md about the cost of a thousand PDFs at each memory size."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.cost import cheapest, dollars, gb_seconds, job_ms
from tests.bench.figures import Results
from tests.bench.markdown import UNMEASURED, blocks, dated, prose, spread, table


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
    ]


def cost_part(results: Results) -> str:
    """Returns the part of the document."""
    found = results["cost"]
    if not found:
        return blocks("## Cost", UNMEASURED)
    prices, sizes = found["prices"], found["sizes"]
    best, most = cheapest(found), max(found["memory_mb"].values())
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
                "cold start, ms", "USD for 1,000 cold starts",
            ),
            size_rows(sizes),
        ),
        prose(
            f"{best:,} MB cost least; of sizes whose prices differ by less than 1 %, the larger one counts. The"
            f" processes need {most:,} MB at most. The other functions and services cost the same at each size of"
            " `render`; [Deploying](deploy.md) has them."
        ),
        table(("page, ms", *(f"{int(memory):,} MB" for memory in sizes), "memory, MB"), page_rows(results)),
    )  # fmt: skip
