"""Computes what to set for a number of PDFs an hour, and compares the queueing model with the local stack.

The stack runs simulated renders. Its own times around a render are measured first, with all slots busy. Then jobs are
published at the times of a Poisson process, and the model gets the same times of requests and pages.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from tests.bench.cost import cpus_of
from tests.bench.figures import SETTLED
from tests.bench.local import LocalStack, Site, running
from tests.bench.model import Pages, System, arrivals, least_slots, percentile, simulated_waits, utilisation, waits
from tests.bench.project import simulated_project
from tests.bench.rate import page, publish, queued_job, slot_times
from tests.bench.rate import warm as warm_simulated
from urlshot.adapters.store import Store

PER_HOUR = (100, 1_000, 10_000, 100_000)
SLOW_SHARES = (0.0, 0.01, 0.02, 0.05)
P95_SECONDS = 1.0
"""The wait for a slot that 95 % of the jobs may not exceed."""
MOST_USED = 0.85
"""The highest utilisation of the slots, so that a burst does not make a long queue."""
SIMULATED_JOBS = 20_000
WEB_SECONDS = 3.0
"""The time of a page of the web, as in the prices of docs/deploy.md; an assumption."""
HANDED_OVER_PER_SECOND, DISPATCH_MS = 96.0, 7.3
"""If the hand-over was not measured: jobs that one mapping hands over per second, and the processor time of each."""
DISPATCH_MB = 1024
"""MemorySize of `dispatch` in template.yaml."""
AROUND = 0.2
"""If the stack was not measured: the seconds for which a slot is held besides the render; an assumption for AWS."""
CHECKED = ((4, 0.5, 0.0), (4, 0.8, 0.0), (4, 0.8, 0.05), (8, 0.8, 0.05))
"""Slots, utilisation and share of slow pages."""
CHECK_JOBS, CALIBRATION = 200, 80
CHECK_PAGES = (0.5, 1.0, 1.5)
END_SECONDS = 600.0
Say = Callable[[str], None]


def bench_pages(results: dict[str, Any]) -> tuple[float, ...]:
    """Returns the median seconds of each of the benchmark's pages, `settled`; empty if they were not measured."""
    cells = (tools.get(SETTLED) for tools in results["warm"].values())
    return tuple(statistics.median(cell["ms"]) / 1000 for cell in cells if cell and cell["ms"])


def hand_over_rate(results: dict[str, Any]) -> tuple[float, float]:
    """Returns the jobs per second that one mapping hands over: as measured, and on the CPU share of `dispatch`."""
    found = results["handover"].get("handing_over", {})
    measured = found.get("per_second", HANDED_OVER_PER_SECOND)
    processor_ms = found.get("cpu_ms", {}).get("dispatch", DISPATCH_MS)
    return measured, min(measured, 1000 * cpus_of(DISPATCH_MB) / processor_ms)


def deployed(results: dict[str, Any]) -> System:
    """Returns the model of a deployment with one slot, with the measured times of the hand-over."""
    return System(1, hand_over=1 / hand_over_rate(results)[1], around=AROUND)


def plans(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns for each rate, kind of pages and share of slow pages: the slots, and what they lead to."""
    system = deployed(results)
    kinds = {"bench": bench_pages(results), "web": (WEB_SECONDS,)}
    found = []
    for kind, seconds in kinds.items():
        for per_hour in PER_HOUR if seconds else ():
            for share in SLOW_SHARES:
                pages, rate = Pages(seconds, share), per_hour / 3600
                slots = least_slots(system, pages, rate, P95_SECONDS, MOST_USED, SIMULATED_JOBS)
                chosen = replace(system, slots=slots)
                took = simulated_waits(chosen, pages, rate, SIMULATED_JOBS)
                found.append({
                    "pages": kind, "per_hour": per_hour, "slow_share": share, "slots": slots,
                    "utilisation": round(utilisation(chosen, pages, rate), 3),
                    "wait_p50": round(percentile(took, 0.5), 3), "wait_p95": round(percentile(took, 0.95), 3),
                })  # fmt: skip
    return found


def curves(results: dict[str, Any], slots: int = 16) -> dict[str, list[tuple[float, float]]]:
    """Returns for each share of slow pages the p95 of the wait at each utilisation, for the plot."""
    system = replace(deployed(results), slots=slots)
    found: dict[str, list[tuple[float, float]]] = {}
    for share in SLOW_SHARES:
        pages = Pages((WEB_SECONDS,), share)
        for percent in range(30, 96, 5):
            rate = percent / 100 * slots / (pages.mean + system.around)
            took = simulated_waits(system, pages, rate, SIMULATED_JOBS)
            found.setdefault(f"{share:g}", []).append((percent / 100, round(percentile(took, 0.95), 3)))
    return found


def scale(results: dict[str, Any], say: Say) -> Iterator[dict[str, Any]]:
    """Computes the plans and the curves, then measures the local stack beside the model.

    Yields:
        `plans`, `curves` and `checks`: first with the checks of an earlier run, then with those of this one.
    """
    known = results["scale"].get("checks", [])
    found: dict[str, Any] = {"plans": plans(results), "curves": curves(results), "checks": known}
    say("scale: the plans are computed")
    yield found
    found["checks"] = []
    site = Site()
    try:
        with simulated_project() as project:
            for slots in sorted({slots for slots, *_ in CHECKED}):
                with running(project, site, Renders=slots, RenderConcurrency=slots) as stack:
                    warm_simulated(stack, site, slots)
                    system = calibrated(stack, site, slots)
                    say(f"scale: {asdict(system)}")
                    for used, share in [(used, share) for count, used, share in CHECKED if count == slots]:
                        found["checks"].append(check(stack, site, system, used, share))
                        say(f"scale: {found['checks'][-1]}")
                        yield found
    finally:
        site.close()


def calibrated(stack: LocalStack, site: Site, slots: int) -> System:
    """Measures the times of the stack around a render with all slots busy, and the delivery of a job that waits not."""
    store = Store(stack.ready["bucket"], stack.s3)
    jobs = [queued_job(store, page(site, 0.5)) for _ in range(CALIBRATION)]
    publish(stack, [body for _, body in jobs])
    stack.ends.wait_all([name for name, _ in jobs], END_SECONDS)
    around, between = slot_times(stack)
    delivered = []
    for _ in range(10):
        name, body = queued_job(store, page(site, 0.0))
        publish(stack, [body])
        delivered.append(_waited(stack.ends.wait(name)[1]))
    return System(slots, around=around, between=between, delivery=statistics.median(delivered))


def check(stack: LocalStack, site: Site, system: System, used: float, share: float) -> dict[str, Any]:
    """Publishes jobs at random times; returns the percentiles of their waits in seconds, predicted and measured."""
    pages, chance = Pages(CHECK_PAGES, share), random.Random(7)
    rate = used * system.slots / (pages.mean + system.around + system.between)
    requested = arrivals(rate, CHECK_JOBS, chance)
    seconds = [pages.draw(chance) for _ in requested]
    store = Store(stack.ready["bucket"], stack.s3)
    began, ids, late = time.monotonic(), [], 0.0
    for at, took in zip(requested, seconds, strict=True):
        left = began + at - time.monotonic()
        late = max(late, -left)
        time.sleep(max(0.0, left))
        name, body = queued_job(store, page(site, took))
        publish(stack, [body])
        ids.append(name)
    measured = [_waited(event) for _, event in stack.ends.wait_all(ids, END_SECONDS)]
    predicted = waits(system, requested, seconds)
    return {
        "slots": system.slots, "utilisation": used, "slow_share": share, "per_hour": round(rate * 3600),
        "jobs": CHECK_JOBS, "latest_publish": round(late, 3), "load": round(os.getloadavg()[0], 1),
        "around": round(system.around + system.between, 3),
        "predicted": {"p50": round(percentile(predicted, 0.5), 3), "p95": round(percentile(predicted, 0.95), 3)},
        "measured": {"p50": round(percentile(measured, 0.5), 3), "p95": round(percentile(measured, 0.95), 3)},
    }  # fmt: skip


def _waited(event: dict[str, Any]) -> float:
    """Returns the seconds from the request until the job had a slot, by the phases of its report."""
    phases = event["report"]["phases"]
    return float(phases["queue"] + phases["wait"]) / 1000
