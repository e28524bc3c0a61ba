"""Counts PDFs per second of jobs side by side, each in a process with a browser of its own, as on Lambda.

Every process prints some of the pages in turn, without pauses, for a few seconds. With more jobs than CPUs the figures
show what the machine can do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from tests.bench.pages import MIXED
from tests.bench.processes import Peak
from tests.bench.tools import Tool, Worker, started
from tests.bench.warm import Say

TOOLS = ("floor", "load")


def throughput(
    tools: Sequence[Tool], host: str, say: Say, sizes: Sequence[int], rounds: int, seconds: float
) -> dict[str, Any]:
    """Returns for each number of jobs and each tool: PDFs per second and per second of processor time, and memory."""
    urls = [f"http://{host}/{name}" for name in MIXED]
    chosen = [tool for name in TOOLS for tool in tools if tool.name == name]
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {tool.name: [stack.enter_context(started(tool)) for _ in range(max(sizes))] for tool in chosen}
        for group in workers.values():
            for worker in group:
                worker.ready()
            run(group, urls, 1.0)  # to warm up
        for size in sizes:
            found = results.setdefault(str(size), {})
            for number in range(rounds):
                for name, group in workers.items():
                    per_second, per_core_second, memory = run(group[:size], urls, seconds)
                    one = found.setdefault(name, {"per_second": [], "per_core_second": [], "bytes_per_job": []})
                    one["per_second"].append(round(per_second, 2))
                    one["per_core_second"].append(round(per_core_second, 2))
                    one["bytes_per_job"].append(memory // size)
                last = ", ".join(f"{name} {one['per_second'][-1]:.1f}" for name, one in found.items())
                say(f"throughput: {size} side by side, round {number + 1} of {rounds}: {last} PDFs/s")
    return results


def run(group: Sequence[Worker], urls: Sequence[str], seconds: float) -> tuple[float, float, int]:
    """Returns PDFs per second, PDFs per second of processor time, and the largest memory of all in bytes."""
    trees = [worker.tree for worker in group]
    before = sum(tree.seconds() for tree in trees)
    with Peak(trees) as peak:
        until = time.monotonic() + seconds
        for worker in group:
            worker.ask({"loop": list(urls), "until": until})
        answers = [worker.answer() for worker in group]
    used = sum(tree.seconds() for tree in trees) - before
    done = sum(answer["done"] for answer in answers)
    return sum(answer["done"] / answer["seconds"] for answer in answers), done / used, peak.bytes
