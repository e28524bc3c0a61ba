"""Times cold starts beside a peer: from a new process with an empty temporary folder to the first PDF.

The files are in the machine's page cache: one run before those that count reads them. On Lambda the first read of a
layer is slower. `cold.py` times the built functions in Lambda's image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tests.bench.check import missing
from tests.bench.pages import BY_NAME, COLD
from tests.bench.tools import Failed, Tool, started
from tests.bench.warm import Field, Say

TOOLS = ("settled", "puppeteer")
BESIDE = ("playwright", "floor")
"""Tools that start from urlshot's layer too; they show what its parts cost."""


def cold(field: Field, tools: Sequence[Tool], host: str, say: Say, rounds: int, names: Sequence[str]) -> dict[str, Any]:
    """Returns for each number of CPUs and each tool the milliseconds in total, and to each mark of the start."""
    available = sorted(os.sched_getaffinity(0))
    chosen = [tool for name in names for tool in tools if tool.name == name and field.usable(tool)]
    results: dict[str, Any] = {}
    for tool in tuple(chosen):  # reads all files into the page cache
        try:
            first_pdf(tool, host, pinned(available))
        except Failed as error:
            say(f"cold: {tool.name} is left out: {error}")
            chosen.remove(tool)
    for count in (1, 2):
        if len(available) < count:
            continue
        runs = results.setdefault(str(count), {tool.name: {"ms": [], "marks": {}} for tool in chosen})
        for number in range(rounds):
            for tool in chosen:
                total, marks = first_pdf(tool, host, pinned(available[-count:]))
                runs[tool.name]["ms"].append(round(total, 1))
                for name, took in marks.items():
                    runs[tool.name]["marks"].setdefault(name, []).append(round(took, 1))
            last = ", ".join(f"{name} {run['ms'][-1]:.0f}" for name, run in runs.items())
            say(f"cold: {count} CPUs, round {number + 1} of {rounds}: {last} ms")
    return results


def pinned(cpus: Sequence[int]) -> tuple[str, ...]:
    """Returns the beginning of a command that may use these CPUs only."""
    return ("taskset", "--cpu-list", ",".join(map(str, cpus)))


def first_pdf(tool: Tool, host: str, within: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Returns the milliseconds from the start of the process to its first PDF, and to each mark of its start.

    Raises:
        Failed: The tool does not start, or its PDF is not complete.
    """
    page = BY_NAME[COLD]
    with started(tool, within) as worker:
        ready = worker.ready()
        answer, pdf = worker.print_page(f"http://{host}/{page.name}", tool.wait)
        waited = answer["at"] - answer["ms"] / 1000 - ready["ready"]  # for the job, by way of the benchmark
        lacks = missing(page, pdf)
        if lacks:
            raise Failed(f"its first PDF lacks {', '.join(lacks)}")
        marks = {name: (at - worker.begun) * 1000 for name, at in ready["marks"].items()}
        return (answer["at"] - worker.begun - max(0.0, waited)) * 1000, marks
