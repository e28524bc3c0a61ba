"""The part of docs/bench.md about a request on the idle stack, and about the processor time for each job."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.figures import Results
from tests.bench.markdown import UNMEASURED, blocks, dated, prose, table

_MOTO = "aws"
_TITLES = {
    "aws": "moto", "stack": "local stack", "rabbitmq": "RabbitMQ", "render": "`render`, simulated", "other": "other",
}  # fmt: skip
_LEAST_MS = 0.05


def p95(values: list[float]) -> float:
    """Returns the 95th percentile of at least one value."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def stage_rows(stages: dict[str, list[float]]) -> list[list[str]]:
    """Returns a row for each stage: its name, its median and its 95th percentile in ms."""
    return [[name, f"{statistics.median(took):,.1f}", f"{p95(took):,.1f}"] for name, took in stages.items()]


def job_rows(jobs: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows: for each number of jobs the processor time of each kind of process for one job."""
    last = jobs[max(jobs, key=int)]["cpu_ms"]
    kinds = [kind for kind, took in sorted(last.items(), key=lambda one: -one[1]) if took >= _LEAST_MS]
    kinds = [*(kind for kind in kinds if kind != _MOTO), *(kind for kind in kinds if kind == _MOTO)]
    head = ["jobs", "load", "a second", *(_TITLES.get(kind, f"`{kind}`") for kind in kinds), "all without moto", "all"]
    rows = []
    for size, one in jobs.items():
        spent = one["cpu_ms"]
        whole = sum(spent.values())
        figures = [*(spent.get(kind, 0.0) for kind in kinds), whole - spent.get(_MOTO, 0.0), whole]
        rows.append(
            [f"{int(size):,}", f"{one['load']:g}", f"{one['per_second']:g}", *(f"{took:.1f}" for took in figures)]
        )
    return head, rows


def calls_rows(jobs: dict[str, Any]) -> list[list[str]]:
    """Returns a row for each function whose calls to AWS were counted, at the largest number of jobs."""
    largest = jobs[max(jobs, key=int)]["calls"]
    return [
        [f"`{name}`", ", ".join(f"{kind} {count:.2f}" for kind, count in sorted(made.items(), key=lambda one: -one[1]))]
        for name, made in largest.items()
    ]


def end_to_end_part(results: Results) -> str:
    """Returns the part of the document."""
    found = results["end_to_end"]
    if not found:
        return blocks("## End to end", UNMEASURED)
    head, rows = job_rows(found["jobs"])
    return blocks(
        "## End to end",
        prose(
            f"{dated(results, 'end_to_end')} On the local stack, with moto for AWS and a real RabbitMQ. A small page,"
            f" really rendered, one request after another, {len(found['stages_ms']['POST to done'])} in all, with a"
            f" machine's load of {found['idle_load']:g} meanwhile:"
        ),
        table(("stage, ms", "p50", "p95"), stage_rows(found["stages_ms"])),
        prose(
            "Milliseconds of processor time for a job. Renders are simulated and take no time. All jobs of a row are"
            " requested with `POST`, by four clients, as fast as the API accepts them. The rows run on one stack, from"
            " the smallest to the largest, so the bucket holds ever more objects. moto has no indexes: it walks through"
            " all objects for a list of the slots or subscribers, and through all waiting messages of a queue for each"
            " receive, so its time grows. S3 and SQS do not. `make bench PARTS=end_to_end JOBS=10000` adds a row."
        ),
        table(head, rows),
        table(("function", "calls to AWS for a job, last row"), calls_rows(found["jobs"])),
    )
