"""`make load` sends new URLs and many repeats through the whole local stack, and fails if a job is lost or doubled.

It writes docs/load.md and docs/load.svg, unless it is a short run. The books are those of
`make faults`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from infra.local.settings import PROJECT
from tests.bench.local import LocalStack, running
from tests.bench.usage import memory
from tests.faults.armory import Armory
from tests.faults.audit import Audit, final_line, shown
from tests.faults.books import ENDS, Books
from tests.faults.load import Load
from tests.faults.stand import Running
from tests.faults.witnesses import BusWitness, QueueWitness
from tests.load.plot import Panel, Series, svg
from tests.load.site import LoadSite
from tests.simulation.books import Violation
from urlshot.core.identity import job_id

JOBS, REPEATS = 1000, 9
MISSING, HANGING = 0.02, 0.01
"""The shares of pages that are 404, and of pages that never come."""
CLIENTS = 12
MOST_OPEN = 24
"""How many jobs may be open before the clients wait. With all jobs queued at once, only the queue would be measured."""
SAMPLE_SECONDS = 10.0
RENDERS, MAX_ATTEMPTS = 4, 2
LEASE = 195
END_SECONDS = 3 * LEASE


def say(text: str) -> None:
    """Prints a line with the time and the machine's load."""
    print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:4.1f}  {text}", flush=True)


@dataclass
class Measured:
    """What a run measured; times are in seconds, `began` since the epoch."""

    began: float = 0.0
    accepted: list[tuple[float, float, int]] = field(default_factory=list)
    """When each POST was sent, how long its answer took, and its status."""
    asked: dict[str, float] = field(default_factory=dict)
    """When the job of each id was requested first."""
    memory: list[tuple[float, dict[str, tuple[int, float]]]] = field(default_factory=list)


def plan(jobs: int, host: str, seed: int) -> list[tuple[str, bool]]:
    """Returns URLs in the order in which they are requested, and whether each is requested for the first time."""
    drawn = random.Random(seed)
    missing, hanging = round(jobs * MISSING), round(jobs * HANGING)
    kinds = ["missing"] * missing + ["hanging"] * hanging + ["page"] * (jobs - missing - hanging)
    drawn.shuffle(kinds)
    new = [f"http://{host}/{kind}/{number}" for number, kind in enumerate(kinds)]
    order = [True] * (jobs - 1) + [False] * (jobs * REPEATS)
    drawn.shuffle(order)
    found: list[tuple[str, bool]] = []
    known = 0
    for first in (True, *order):
        known += first
        found.append((new[known - 1] if first else drawn.choice(new[:known]), first))
    return found


def send_all(load: Load, wanted: list[tuple[str, bool]], measured: Measured, stack: LocalStack) -> None:
    """Sends all requests from some clients, each of which sends the next one when it has its answer."""
    lock, left = threading.Lock(), iter(wanted)
    ended = stack.ends

    def client() -> None:
        while True:
            with lock:
                url, first = next(left, ("", False))
            if not url:
                return
            name = job_id(url, {})
            if first:
                with lock:
                    open_ = [one for one in measured.asked if ended.first(one) is None]
                until = time.monotonic() + END_SECONDS
                while len(open_) >= MOST_OPEN and time.monotonic() < until:
                    time.sleep(0.05)
                    open_ = [one for one in open_ if ended.first(one) is None]
                with lock:
                    measured.asked.setdefault(name, time.time())
            at = time.time()
            status = load.post(url)
            with lock:
                measured.asked.setdefault(name, at)
                measured.accepted.append((at, time.time() - at, status))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(SAMPLE_SECONDS)
        measured.memory.append((time.time(), memory(stack)))
        open_jobs = sum(ended.first(one) is None for one in list(measured.asked))
        say(f"{len(measured.accepted)} of {len(wanted)} requests answered, {open_jobs} jobs are open")


def renders(stack: LocalStack) -> Counter[str]:
    """Returns how often each job was handed over to `render`, by its id."""
    return Counter(line["job_id"] for line in stack.log_lines("DispatchFunction", "job: handed over"))


def check_renders(handed: Counter[str], good: set[str]) -> list[Violation]:
    """Checks that each good page was rendered once, however often it was requested."""
    return [Violation("renders", f"{one} was rendered {handed[one]} times") for one in sorted(good) if handed[one] != 1]


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """Returns the 50th, 95th and 99th percentile."""
    if len(values) < 2:
        return (values or [0.0])[0], (values or [0.0])[0], (values or [0.0])[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def report(measured: Measured, completed: list[tuple[float, float]], lines: list[str]) -> tuple[str, str]:
    """Returns the document docs/load.md and the plot of a run.

    Args:
        measured: What was measured.
        completed: When each job was requested first, and how many seconds later it had ended.
        lines: Facts about the run.
    """
    rows = [
        (
            "`POST` that made a job or joined one (202)",
            [took for _, took, status in measured.accepted if status == 202],
        ),
        ("`POST` that found a PDF (200)", [took for _, took, status in measured.accepted if status == 200]),
        ("first request to the end of the job", [took for _, took in completed]),
    ]
    facts = [textwrap.fill(f"- {line}", 120, subsequent_indent="  ", break_long_words=False) for line in lines]
    text = ["# Load", "", "`make load` wrote this document. Its last run:", "", *facts, ""]
    text += ["| seconds | number | p50 | p95 | p99 |", "|---|---|---|---|---|"]
    for name, values in rows:
        p50, p95, p99 = percentiles(values)
        text.append(f"| {name} | {len(values)} | {p50:.3f} | {p95:.3f} | {p99:.3f} |")
    samples = [measured.memory[0], measured.memory[len(measured.memory) // 2], measured.memory[-1]]
    kinds = sorted(measured.memory[-1][1], key=lambda kind: -measured.memory[-1][1][kind][1])
    text += ["", "Memory of all processes of a kind in MB (PSS), and how many there were:", ""]
    text += ["| processes | start | middle | end |", "|---|---|---|---|"]
    for kind in kinds:
        cells = [f"{one[kind][1]:.0f} ({one[kind][0]})" if kind in one else "–" for _, one in samples]
        text.append(f"| {kind} | {' | '.join(cells)} |")
    text += ["", "![Latency and memory over the run](load.svg)", ""]
    began = measured.began
    dots = [
        Series("accepted (202)", [(at - began, took) for at, took, status in measured.accepted if status == 202]),
        Series("found (200)", [(at - began, took) for at, took, status in measured.accepted if status == 200]),
        Series("job ended", [(at - began, took) for at, took in completed]),
    ]
    lines_ = [
        Series(kind, [(at - began, one[kind][1]) for at, one in measured.memory if kind in one], line=True)
        for kind in kinds
    ]
    plot = svg([Panel("Seconds from the request", dots, log=True), Panel("Memory in MB", lines_)])
    return "\n".join(text), plot


def run(jobs: int, seed: int, write: bool) -> int:
    """Runs the load, and returns the exit status."""
    site, books, measured = LoadSite(), Books(), Measured()
    parameters = {"Renders": RENDERS, "MaxAttempts": MAX_ATTEMPTS, "RetryDelays": "1,2"}
    with running(PROJECT, site, **parameters) as stack:
        base = Running(stack.ready)
        bus, queue = BusWitness(base, books), QueueWitness(base, books)
        load = Load(base, books, site.host, "", seed)
        wanted = plan(jobs, site.host, seed)
        say(f"the stack is up; {jobs} URLs, {len(wanted)} requests, {RENDERS} slots")
        measured.began = time.time()
        measured.memory.append((measured.began, memory(stack)))
        send_all(load, wanted, measured, stack)
        ids = list(measured.asked)
        try:
            stack.ends.wait_all(ids, END_SECONDS)
        except SystemExit as error:  # the books say which jobs are lost
            say(str(error))
        took = time.time() - measured.began
        measured.memory.append((time.time(), memory(stack)))
        say(f"{jobs} jobs ended after {took:.0f} s; waiting for their parked messages")
        ends = {one: at for one in ids if (at := stack.ends.first(one)) is not None}
        until = time.monotonic() + END_SECONDS
        while note_records(base, books) and time.monotonic() < until:
            time.sleep(1)  # a repeat of a page that failed a minute ago makes a new render
        audit = Audit(base, books, MAX_ATTEMPTS)
        left = audit.wait(END_SECONDS, say)
        violations, ambiguous = audit.check(Armory())
        good = {job_id(url, {}) for url, first in wanted if first and "/page/" in url}
        handed = renders(stack)
        violations += check_renders(handed, good)
        bus.close()
        queue.close()
    site.close()
    once = sum(site.hits[url.removeprefix(f"http://{site.host}")] == 1 for url, first in wanted if first)
    others = sum(handed.values()) - sum(handed[one] for one in good)
    statuses = Counter(status for _, _, status in measured.accepted)
    lines = [
        f"JOBS={jobs}: {jobs:,} URLs and {jobs * REPEATS:,} repeats;"
        f" {MISSING:.0%} of the pages are 404, {HANGING:.0%} never come",
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f} at the end; {RENDERS} slots, {CLIENTS} clients, at most"
        f" {MOST_OPEN} open jobs; moto for AWS, a real RabbitMQ, real renders",
        f"{took:.0f} s until all jobs had ended, {jobs / took:.2f} jobs and {len(wanted) / took:.1f} requests a second",
        f"{sum(handed[one] for one in good)} renders of {len(good)} good pages, {others} of the others, which are tried"
        f" again; {once} pages were loaded exactly once",
        "answers: "
        + ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(statuses.items()))
        + "; a repeat of a page that failed less than a minute ago gets that failure, 502 or 504",
        f"`{final_line(books, violations, ambiguous)}`",
    ]
    completed = [(measured.asked[one], at - measured.asked[one]) for one, at in ends.items()]
    document, plot = report(measured, completed, lines)
    if write:
        (PROJECT / "docs" / "load.md").write_text(document, "utf-8")
        (PROJECT / "docs" / "load.svg").write_text(plot, "utf-8")
    print(document)
    if left:
        say(f"{len(left)} things have not ended: {'; '.join(left[:10])}")
    if violations:
        print(shown(violations, Armory()))
    print(f"seed={seed}")
    print(final_line(books, violations, ambiguous), flush=True)
    return 1 if violations else 0


def note_records(base: Running, books: Books) -> int:
    """Writes the records of the bucket into the books, each of which was queued before it ended.

    Returns:
        How many jobs have not ended, or are not noted as announced.
    """
    s3, bucket, unfinished = base.client("s3"), base.ready["bucket"], 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="job/"):
        for entry in page.get("Contents", []):
            record = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
            books.record_written({**record, "state": "queued"})
            books.record_written(record)
            unfinished += record["state"] not in ENDS or not record["announced"]
    return unfinished


def main() -> int:
    parser = argparse.ArgumentParser(prog="make load")
    parser.add_argument("--jobs", type=int, default=JOBS, help="different URLs; each is requested ten times on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the documents also after a short run")
    asked = parser.parse_args()
    return run(asked.jobs, asked.seed, write=asked.write or asked.jobs >= JOBS)


if __name__ == "__main__":
    sys.exit(main())
