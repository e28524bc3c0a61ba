"""Writes the sections of docs/load.md about requests, from the results of runs."""

from __future__ import annotations

from tests.load.document import bullets, percentiles, table
from tests.load.plot import Panel, Series, svg
from tests.load.run import Result


def times(result: Result) -> list[tuple[str, list[float]]]:
    """Returns each kind of duration with its values in seconds."""
    accepted = result.measured.accepted
    return [
        ("`POST` that made a job or joined one (202)", [took for _, took, status in accepted if status == 202]),
        ("`POST` that found a PDF (200)", [took for _, took, status in accepted if status == 200]),
        ("first request to the end of the job", [took for _, took in result.completed]),
    ]


def report(result: Result) -> str:
    """Returns the section about one run."""
    text = bullets(result.lines)
    rows = []
    for name, values in times(result):
        rows.append([name, str(len(values)), *(f"{one:.3f}" for one in percentiles(values))])
    text += ["", *table(["seconds", "number", "p50", "p95", "p99"], rows)]
    samples = result.measured.memory
    shown = [samples[0], samples[len(samples) // 2], samples[-1]]
    rows = []
    for kind in kinds(result):
        rows.append([kind, *(f"{one[kind][1]:.0f} ({one[kind][0]})" if kind in one else "–" for _, one in shown)])
    text += ["", "Memory of all processes of a kind in MB (PSS), and how many there were:", ""]
    text += [*table(["processes", "start", "middle", "end"], rows), "", "![Latency and memory over the run](load.svg)"]
    return "\n".join(text)


def kinds(result: Result) -> list[str]:
    """Returns the kinds of processes, those with the most memory at the end first."""
    last = result.measured.memory[-1][1]
    return sorted(last, key=lambda kind: -last[kind][1])


def plot(result: Result) -> str:
    """Returns latency and memory over the run as SVG."""
    measured, began = result.measured, result.measured.began
    dots = [
        Series("accepted (202)", [(at - began, took) for at, took, status in measured.accepted if status == 202]),
        Series("found (200)", [(at - began, took) for at, took, status in measured.accepted if status == 200]),
        Series("job ended", [(at - began, took) for at, took in result.completed]),
    ]
    lines = [
        Series(kind, [(at - began, one[kind][1]) for at, one in measured.memory if kind in one], line=True)
        for kind in kinds(result)
    ]
    return svg([Panel("Seconds from the request", dots, log=True), Panel("Memory in MB", lines)])


def compared(few: Result, many: Result) -> str:
    """Returns the section that compares two runs of different size: what one job costs in each of them."""
    lines = [
        "The same load twice, each time in a new stack; what a job costs, and whether it costs more among more jobs"
    ]
    lines.append("CPU seconds leave out processes that ended meanwhile, such as those of Chromium's pages")
    lines += [f"`JOBS={one.jobs}: {one.final}`" for one in (few, many)]
    rows = [
        _row("jobs a second", few.jobs / few.seconds, many.jobs / many.seconds),
        _row("CPU seconds a job, all processes", _cpu(few), _cpu(many)),
    ]
    rows += [
        _row(f"CPU seconds a job, {kind}", few.cpu[kind] / few.jobs, many.cpu[kind] / many.jobs)
        for kind in sorted(few.cpu.keys() & many.cpu.keys(), key=lambda kind: -many.cpu[kind])
        if many.cpu[kind] / many.jobs >= 0.01
    ]
    for (name, first), (_, second) in zip(times(few), times(many), strict=True):
        for label, one, other in zip(("p50", "p95", "p99"), percentiles(first), percentiles(second), strict=True):
            rows.append(_row(f"{name}, seconds, {label}", one, other))
    ends = [one.measured.memory[-1][1] for one in (few, many)]
    rows += [
        _row(f"MB at the end, {kind}", ends[0][kind][1], ends[1][kind][1])
        for kind in kinds(many)
        if kind in ends[0] and ends[1][kind][1] >= 20
    ]
    text = [*bullets(lines), "", *table(["", f"{few.jobs:,} jobs", f"{many.jobs:,} jobs", "ratio"], rows)]
    return "\n".join([*text, "", "![Latency and memory over the larger run](load-times.svg)"])


def _cpu(result: Result) -> float:
    return sum(result.cpu.values()) / result.jobs


def _row(name: str, few: float, many: float) -> list[str]:
    shown = [f"{one:,.0f}" if one >= 100 else f"{one:.3g}" for one in (few, many)]
    return [name, *shown, f"{many / few:.2f}" if few else "–"]
