"""The part of docs/bench.md about the hand-over."""

from __future__ import annotations

from tests.bench.figures import Results

_RENDER = "render: "
STAGES = {
    "to the 202": ("POST to 202",),
    "in the queue and for the slot": ("queue (publish, to dispatch)", "wait (taking a slot)"),
    "for claim and hand-over": ("claim", "hand_over (to render's start)"),
    "to settle and announce": ("render's end to record's end", "record's end to message"),
}
"""The stages of a job in words, and their names in the measurement; those of `render` start with "render: "."""


def stages(found: dict[str, float]) -> str:
    """Returns the stages of a job in one line."""
    sums = {words: sum(found.get(name, 0.0) for name in names) for words, names in STAGES.items()}
    render = sum(took for name, took in found.items() if name.startswith(_RENDER))
    parts = [f"{took:.0f} {words}" for words, took in sums.items()]
    return ", ".join([*parts[:3], f"{render:.0f} to render", parts[3]])


def rows(found: Results) -> list[tuple[str, str]]:
    """Returns the rows of the table from the figures of the hand-over."""
    slow, bulk, simulated = found["behind_slow_ms"], found["behind_bulk_ms"], found["behind_bulk_simulated_ms"]
    settling, handing = found["settling"], found["handing_over"]
    cpu = settling["cpu_ms"]
    kinds = sorted((kind for kind in cpu if kind in _KINDS), key=lambda kind: -cpu[kind])
    spent = ", ".join(f"{_KINDS[kind]} {cpu[kind]:.0f}" for kind in kinds)
    return [
        (
            "`POST` to done, a small page, median of 24",
            f"{found['stages_ms']['POST to done']:.0f} ms: {stages(found['stages_ms'])}",
        ),
        (
            "the same while pages of 30 s hold three of four slots",
            f"{slow[2]:.0f} ms: {found['behind_slow']:.2f} times as long (one slow page: {slow[1] / slow[0]:.2f})",
        ),
        (
            "the same behind 500 queued bulk jobs, simulated renders",
            f"{simulated[1]:.0f} ms: {found['behind_bulk_simulated']:.2f} times as long",
        ),
        (
            "the same behind 500 queued bulk jobs, real renders",
            f"{bulk[1]:.0f} ms: {found['behind_bulk']:.1f} times as long. The renders share this machine's CPUs with"
            " each other and with all functions; on Lambda each has CPUs of its own",
        ),
        (
            "jobs with all slots busy, simulated pages of 1.5 s, 2 % of them 10 s",
            f"{found['throughput_over_direct']:.2f} times as many as by invoking `render` directly",
        ),
        (
            "jobs that one mapping hands over while renders run",
            f"{handing['per_second']:.0f} a second; `dispatch` takes {handing['cpu_ms'].get('dispatch', 0):.1f} ms of"
            " processor time for each",
        ),
        (
            "jobs through the whole stack, renders that take no time",
            f"{settling['per_second']:.0f} a second. Of {sum(cpu.values()):.0f} ms of processor time for a job,"
            f" {spent}",
        ),
    ]


_KINDS = {"aws": "moto takes", "settle": "`settle`", "stack": "the local stack", "dispatch": "`dispatch`"}


def handover_part(results: Results) -> str:
    """Returns the part about the hand-over."""
    if not results["handover"]:
        return "## The hand-over\n\nNot measured yet."
    lines = "\n".join(f"| {what} | {figure} |" for what, figure in rows(results["handover"]))
    date = results["dates"]["handover"][:10]
    return f"""## The hand-over

Measured on {date}. `make bench HANDOVER=1` measures the hand-over alone, in about ten minutes. It runs on the local
stack, with moto for AWS and a real RabbitMQ.

| | |
|---|---|
{lines}"""
