"""Measures what a thousand PDFs cost on Lambda at each memory size, by the share of a CPU that the size gives.

`render` runs in a control group with that share. It prints all pages of the benchmark, `settled`, and returns the PDF.
The upload to S3 is not timed. Prices are in USD, x86, US East (N. Virginia), the first tier.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.bench import cpu
from tests.bench.check import missing
from tests.bench.cold_peers import first_pdf
from tests.bench.pages import LARGE, Page
from tests.bench.processes import Peak
from tests.bench.tools import Tool, Worker, started
from tests.bench.warm import PAUSE

MB_PER_CPU = 1769
"""Source: "Configure Lambda function memory" in the Lambda developer guide: 1,769 MB are the equivalent of one vCPU."""
SIZES = (1024, 1769, 2048, 3538)
"""Memory in MB."""
PRICES = {
    "gb_second": 0.0000166667,
    "request": 0.20 / 1_000_000,
    "storage_gb_second": 0.0000000309,
    "region": "US East (N. Virginia)",
    "date": "2026-06-18",
    "source": "https://aws.amazon.com/lambda/pricing/",
}
STORAGE_GB = 0.5
"""`render` has 1 GB of ephemeral storage, of which 0.5 GB are free."""
TOOL = "settled"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rounds:
    """How often each page is printed at each size after one round to warm up, and the number of cold starts."""

    warm: int
    cold: int


def cpus_of(memory: int) -> float:
    """Returns the share of CPUs that Lambda gives for a memory size in MB."""
    return memory / MB_PER_CPU


def gb_seconds(memory: int, milliseconds: float) -> float:
    """Returns the GB-seconds of one call; Lambda rounds the duration up to a millisecond."""
    return memory / 1024 * math.ceil(milliseconds) / 1000


def dollars(memory: int, milliseconds: float) -> float:
    """Returns the price of one call in USD: duration, ephemeral storage and request."""
    seconds = math.ceil(milliseconds) / 1000
    duration = gb_seconds(memory, milliseconds) * float(PRICES["gb_second"])
    return duration + STORAGE_GB * seconds * float(PRICES["storage_gb_second"]) + float(PRICES["request"])


def job_ms(pages: dict[str, Sequence[float]]) -> float:
    """Returns the duration of the mean job: the mean over the pages of the median of each."""
    return statistics.fmean(statistics.median(took) for took in pages.values())


def cheapest(found: dict[str, Any]) -> int:
    """Returns the memory size in MB at which a warm job costs least; of equal prices, the larger size, which is faster.

    Prices count as equal if they differ by less than 1 %, because two runs differ by more.
    """
    prices = {int(memory): dollars(int(memory), job_ms(one["ms"])) for memory, one in found["sizes"].items()}
    return max(memory for memory, price in prices.items() if price <= 1.01 * min(prices.values()))


def cost(tools: Iterable[Tool], pages: Sequence[Page], host: str, say: Say, rounds: Rounds) -> dict[str, Any]:
    """Measures all sizes in turns.

    Returns:
        `sizes`: for each memory size its `cpus`, `ms` for each page, `cold_ms`, and `processor_ms`, the mean processor
        time of a job with the preparation for the next one. `load`: the machine's load at the end. `memory_mb`: for
        each page the memory of all processes of `render` while it prints, in proportion where they share it.
        `prices`. Empty if this machine has no control groups.
    """
    if not cpu.available():
        say(f"cost: left out: it needs root and {cpu.GROUPS}")
        return {}
    tool = next(one for one in tools if one.name == TOOL)
    sizes: dict[str, Any] = {}
    with ExitStack() as stack:
        workers: dict[int, Worker] = {}
        for memory in SIZES:
            within = stack.enter_context(cpu.limited(cpus_of(memory)))
            cold = [round(first_pdf(tool, host, within)[0], 1) for _ in range(rounds.cold)]
            sizes[str(memory)] = {"cpus": round(cpus_of(memory), 2), "ms": {}, "cold_ms": cold}
            say(f"cost: {memory} MB, {cpus_of(memory):.2f} CPUs: cold {statistics.median(cold):.0f} ms")
            workers[memory] = stack.enter_context(started(tool, within))
            workers[memory].ready()
        for number in range(rounds.warm + 1):
            if number == 1:
                before = {memory: worker.tree.seconds() for memory, worker in workers.items()}
            for page in pages:
                for memory, worker in workers.items():
                    answer, _ = worker.print_page(f"http://{host}/{page.name}", tool.wait)
                    if number:
                        sizes[str(memory)]["ms"].setdefault(page.name, []).append(round(answer["ms"], 1))
                    time.sleep(PAUSE)
        for memory, worker in workers.items():
            used_ms = 1000 * (worker.tree.seconds() - before[memory]) / (rounds.warm * len(pages))
            sizes[str(memory)]["processor_ms"] = round(used_ms, 1)
            took = job_ms(sizes[str(memory)]["ms"])
            price = 1000 * dollars(memory, took)
            say(f"cost: {memory} MB: {took:.0f} ms a job, {used_ms:.0f} of the processor; {price:.4f} USD for 1,000")
        largest = workers[SIZES[-1]]
        used = {}
        for page in (*pages, *LARGE):
            with Peak([largest.tree], shared=True) as peak:
                _, pdf = largest.print_page(f"http://{host}/{page.name}", tool.wait)
            used[page.name] = round(peak.bytes / 2**20)
            if lacks := missing(page, pdf):
                raise SystemExit(f"cost: the PDF of {page.title} lacks {lacks}")
        say("cost: memory, MB: " + ", ".join(f"{name} {size:,}" for name, size in used.items()))
    return {"sizes": sizes, "memory_mb": used, "prices": PRICES, "load": round(os.getloadavg()[0], 1)}
