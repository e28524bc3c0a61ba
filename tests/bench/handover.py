"""Times the hand-over on the local stack: moto for AWS, a real RabbitMQ, real functions.

latency      the stages of one request on the idle stack
behind_slow  time from POST to done of a small page behind pages that take 30 s, divided by its time alone
behind_bulk  time from POST to done of a small page behind 500 queued bulk jobs, divided by its time alone; with real
             renders, and with simulated ones, which take no CPU from the functions
throughput   finished jobs per second with all slots busy, divided by the rate of the same renders invoked directly;
             the renders are simulated
rate         jobs that dispatch hands over per second, and the CPU time that each kind of process uses meanwhile;
             with 40 slots that settle has to free, and with a slot for every job and nothing to settle

All processes share this machine's processors. On AWS they do not, so the times are upper bounds. Variants that are
compared are measured in turns. Each page is new to the stack. A job is done when its completion message arrives.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from tests.bench.local import PATIENCE, LocalStack, Site, eventually, running
from tests.bench.project import simulated_project
from tests.bench.rate import ENOUGH_SLOTS, FEW_SLOTS, Rate, hand_over_rate, page, throughput
from tests.bench.rate import warm as warm_simulated
from tests.bench.usage import Usage, shown
from urlshot.core.messages import QUEUE_BULK, delay_queue

RENDERS = 4
ROUNDS = 3
SAMPLES = 8
"""Requests in each turn."""
LATENCY_SAMPLES = 24
SIMULATED_SECONDS = {"small": 0.15, "bulk": 1.5}
"""Seconds that a simulated render of each kind of page takes."""
AFTER_SECONDS = 1.5
"""Seconds from the start of the slow pages to the first request behind them."""
BATCHES, BATCH = 5, 100


def say(text: str) -> None:
    """Prints a line with the time and the machine's load, because other work on the machine changes every figure."""
    print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:4.1f}  {text}", flush=True)


def spread(seconds: Sequence[float]) -> str:
    """Formats the median, the quartiles and the maximum, in ms."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return f"{middle * 1000:.0f} ms (quartiles {low * 1000:.0f} to {high * 1000:.0f}, worst {max(seconds) * 1000:.0f})"


def warm(stack: LocalStack, site: Site) -> None:
    """Starts an instance of `render` for each slot, and runs a few pages through all functions."""
    slow_pages(stack, site, RENDERS)
    for _ in range(3):
        stack.post_to_done(site.new("small"))


def slow_pages(stack: LocalStack, site: Site, count: int) -> None:
    """Renders `count` slow pages in parallel; the server answers once all of them are requested."""
    held = hold(stack, site, count)
    site.release()
    stack.ends.wait_all(held, PATIENCE)


def hold(stack: LocalStack, site: Site, count: int) -> list[str]:
    """Requests `count` slow pages, waits until all of them are rendering, and returns the ids of their jobs."""
    site.hold()
    jobs = [stack.post(site.new("slow")) for _ in range(count)]
    site.await_held(count)
    return jobs


def latency(stack: LocalStack, site: Site) -> dict[str, float]:
    """Prints the stages of a request on the idle stack, and returns their medians in milliseconds."""
    found: dict[str, list[float]] = {}
    for _ in range(LATENCY_SAMPLES):
        for name, seconds in stages(stack, site).items():
            found.setdefault(name, []).append(seconds)
    say(f"latency: medians of {LATENCY_SAMPLES} in ms: POST to done {spread(found['POST to done'])}")
    for name, took in found.items():
        say(f"latency: {name:<32}{statistics.median(took) * 1000:8.1f}   worst {max(took) * 1000:8.1f}")
    return {name: milliseconds(took) for name, took in found.items()}


def stages(stack: LocalStack, site: Site) -> dict[str, float]:
    """Makes one request and returns the seconds of its stages in order.

    `claim` is the time of dispatch from the slot to the hand-over, for the record and the signature. It is the
    remainder of the other stages. `render: rest` is the time of render that no phase of the report covers, such as
    the check of the PDF and the start of the handler.
    """
    began = time.time()
    job = stack.post(site.new("small"))
    accepted = time.time()
    announced, event = stack.ends.wait(job)
    render_ended, duration = stack.render_end(job)
    requested, finished = _seconds(event["requested_at"]), _seconds(event["finished_at"])
    phases = {name: milliseconds / 1000 for name, milliseconds in event["report"]["phases"].items()}
    own = [name for name in phases if name not in ("queue", "wait", "hand_over")]
    render_began = render_ended - duration
    handed_over = render_began - phases["hand_over"]
    return {
        "POST to done": announced - began,
        "POST to 202": accepted - began,
        "POST to record": requested - began,
        "queue (publish, to dispatch)": phases["queue"],
        "wait (taking a slot)": phases["wait"],
        "claim": handed_over - requested - phases["queue"] - phases["wait"],
        "hand_over (to render's start)": phases["hand_over"],
        **{f"render: {name}": phases[name] for name in own},
        "render: rest": duration - sum(phases[name] for name in own),
        "render's end to record's end": finished - render_ended,
        "record's end to message": announced - finished,
    }


def behind_slow(stack: LocalStack, site: Site) -> list[float]:
    """Prints the time from POST to done alone, behind one slow page, and behind slow pages in all slots but one.

    Returns:
        The three medians in milliseconds.
    """
    took: dict[int, list[float]] = {0: [], 1: [], RENDERS - 1: []}
    for _ in range(ROUNDS):
        for count, found in took.items():
            held, began = hold(stack, site, count), time.monotonic()
            time.sleep(AFTER_SECONDS)
            for _ in range(SAMPLES):
                found.append(stack.post_to_done(site.new("small"))[0])
            if count and time.monotonic() - began > site.SLOW_SECONDS - AFTER_SECONDS:
                raise SystemExit("the machine is too busy: the slow pages ended before the requests behind them")
            site.release()
            stack.ends.wait_all(held, PATIENCE)
    alone = statistics.median(took[0])
    for count, found in took.items():
        more = (statistics.median(found) - alone) * 1000
        say(f"behind_slow: behind {count} slow pages of {RENDERS} slots: {spread(found)}; {more:+.0f} ms")
    return [milliseconds(found) for found in took.values()]


def behind_bulk(stack: LocalStack, address: Callable[[str], str], name: str) -> list[float]:
    """Prints the time from POST to done alone and behind queued batches.

    Args:
        stack: A stack with `RENDERS` slots that are warm.
        address: Makes the URL of a new page, `small` or `bulk`.
        name: The name of the figure.

    Returns:
        The two medians in milliseconds.
    """
    alone: list[tuple[float, dict[str, float]]] = []
    behind: list[tuple[float, dict[str, float]]] = []
    with stack.channel() as channel:

        def queued(name: str) -> int:
            return int(channel.queue_declare(name, passive=True).message_count)

        for _ in range(2):
            alone += [stack.post_to_done(address("small")) for _ in range(SAMPLES)]
            for _ in range(BATCHES):
                requests = [{"url": address("bulk")} for _ in range(BATCH)]
                stack.call("POST", "/pdf/batch", {"requests": requests})
            first, usage = queued(QUEUE_BULK), Usage(stack)
            behind += [stack.post_to_done(address("small")) for _ in range(SAMPLES)]
            last = queued(QUEUE_BULK)
            used = usage.since()
            say(f"{name}: {first} bulk jobs were queued before the requests, {last} after them")
            say(f"{name}: CPU seconds meanwhile: {shown(used)}")
            if last == 0:
                raise SystemExit("the bulk queue ran empty: nothing was measured behind it")
            while queued(QUEUE_BULK):
                channel.queue_purge(QUEUE_BULK)
                time.sleep(0.5)  # messages of a batch that dispatch holds come back through the delay queue
            eventually(lambda: queued(delay_queue(QUEUE_BULK, 5)) + queued(QUEUE_BULK) == 0, "an empty bulk queue")
            eventually(lambda: not stack.slots_in_use(), "free slots")
    medians = []
    for position, found in (("alone", alone), ("behind 500 queued bulk jobs", behind)):
        seconds = [one for one, _ in found]
        medians.append(milliseconds(seconds))
        parts = {part: statistics.median(one[part] for _, one in found) * 1000 for part in found[0][1]}
        say(f"{name}: {position} {spread(seconds)}; " + ", ".join(f"{part} {took:.0f}" for part, took in parts.items()))
    return medians


def behind_bulk_simulated(project: Path, site: Site) -> list[float]:
    """Does the same with simulated renders, which take no CPU from the functions, as on Lambda."""
    with running(project, site, Renders=RENDERS) as stack:
        warm_simulated(stack, site, RENDERS)
        eventually(lambda: not stack.slots_in_use(), "free slots")
        return behind_bulk(stack, lambda kind: page(site, SIMULATED_SECONDS[kind]), "behind_bulk_simulated")


def handover() -> dict[str, Any]:
    """Runs all measurements of the hand-over, prints the main figures in one line, and returns all of them."""
    say(f"{os.cpu_count()} processors, moto for AWS, a real RabbitMQ; {RENDERS} slots for real pages")
    site = Site()
    try:
        with running(PROJECT, site, Renders=RENDERS) as stack:
            warm(stack, site)
            stages = latency(stack, site)
            slow = behind_slow(stack, site)
            bulk = behind_bulk(stack, site.new, "behind_bulk")
        with simulated_project() as project:
            simulated = behind_bulk_simulated(project, site)
            over_direct = throughput(project, site, say)
            flow = [hand_over_rate(project, site, say, size, FEW_SLOTS) for size in (10, 50)]
            alone = [hand_over_rate(project, site, say, size, ENOUGH_SLOTS) for size in (10, 50)]
    finally:
        site.close()
    say("done")
    found: dict[str, Any] = {
        "stages_ms": stages,
        "behind_slow_ms": slow,
        "behind_slow": round(slow[-1] / slow[0], 3),
        "behind_bulk_ms": bulk,
        "behind_bulk": round(bulk[1] / bulk[0], 3),
        "behind_bulk_simulated_ms": simulated,
        "behind_bulk_simulated": round(simulated[1] / simulated[0], 3),
        "throughput_over_direct": round(over_direct, 3),
        "settling": fastest(flow),
        "handing_over": fastest(alone),
    }
    print(
        f"post_to_done_ms={stages['POST to done']:.0f} behind_slow={found['behind_slow']:.2f}"
        f" behind_bulk={found['behind_bulk']:.2f} behind_bulk_simulated={found['behind_bulk_simulated']:.2f}"
        f" throughput_over_direct={over_direct:.2f} handed_over_per_s={found['settling']['per_second']:.0f}"
        f" with_enough_slots={found['handing_over']['per_second']:.0f}",
        flush=True,
    )
    return found


def fastest(rates: list[Rate]) -> dict[str, Any]:
    """Returns the figures of the batch size that hands over fastest."""
    best = max(rates, key=lambda rate: rate.per_second)
    return {"per_second": round(best.per_second, 1), "batch": best.batch, "cpu_ms": best.cpu_ms}


def milliseconds(seconds: Sequence[float]) -> float:
    """Returns the median in milliseconds."""
    return round(statistics.median(seconds) * 1000, 1)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
