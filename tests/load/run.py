"""Sends new URLs and many repeats through the whole local stack, and measures what they cost."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from infra.local.settings import PROJECT
from tests.bench.local import LocalStack, running
from tests.bench.usage import Usage, memory
from tests.faults.armory import Armory
from tests.faults.audit import Audit, final_line
from tests.faults.books import ENDS, Books
from tests.faults.load import Load
from tests.faults.stand import Running
from tests.faults.witnesses import BusWitness, QueueWitness
from tests.load.site import LoadSite
from tests.simulation.books import Violation
from urlshot.core.identity import job_id

REPEATS = 9
MISSING, HANGING = 0.02, 0.01
"""The shares of pages that are 404, and of pages that never come."""
JOINED_WITHIN = 1000
"""How many requests after its first one a page that never comes is still requested: they join its job. A later repeat
would begin a new job, which holds a slot for two minutes, and all others would wait."""
CLIENTS = 12
MOST_OPEN = 24
"""How many jobs may be open before the clients wait. With all jobs queued at once, only the queue would be measured."""
SAMPLE_SECONDS = 10.0
RENDERS, MAX_ATTEMPTS = 4, 2
PARAMETERS = {"Renders": RENDERS, "MaxAttempts": MAX_ATTEMPTS, "RetryDelays": "1,2"}
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
    first_at: dict[str, int] = {}
    for first in (True, *order):
        if first:
            url = new[len(first_at)]
            first_at[url] = len(found)
        else:
            url = drawn.choice(list(first_at))
            while "/hanging/" in url and len(found) > first_at[url] + JOINED_WITHIN and len(first_at) > 1:
                url = drawn.choice(list(first_at))
        found.append((url, first))
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
    """Returns how often `render` printed or failed to print the page of each job, by the job's id."""
    lines = [line for what in ("rendered", "not rendered") for line in stack.log_lines("RenderFunction", what)]
    return Counter(line["job_id"] for line in lines)


def check_renders(made: Counter[str], good: set[str]) -> list[Violation]:
    """Checks that each good page was rendered once, however often it was requested."""
    return [Violation("renders", f"{one} was rendered {made[one]} times") for one in sorted(good) if made[one] != 1]


@dataclass
class Result:
    """The result of a run."""

    jobs: int
    measured: Measured
    completed: list[tuple[float, float]]
    """When each job was requested first, and how many seconds later it had ended."""
    seconds: float
    """Until all jobs had ended."""
    cpu: dict[str, float]
    """CPU seconds by kind of process, until all jobs had ended."""
    violations: list[Violation]
    final: str
    """The line with the books."""
    left: list[str]
    """What had not ended in time."""
    lines: list[str]
    """Facts about the run."""


def measure(jobs: int, seed: int) -> Result:
    """Runs the load through a new stack, waits until everything has ended, and checks the books."""
    site, books, measured = LoadSite(), Books(), Measured()
    with running(PROJECT, site, **PARAMETERS) as stack:
        base = Running(stack.ready)
        bus, queue = BusWitness(base, books), QueueWitness(base, books)
        load = Load(base, books, site.host, "", seed)
        wanted = plan(jobs, site.host, seed)
        say(f"the stack is up; {jobs} URLs, {len(wanted)} requests, {RENDERS} slots")
        measured.began = time.time()
        measured.memory.append((measured.began, memory(stack)))
        usage = Usage(stack)
        send_all(load, wanted, measured, stack)
        ids = list(measured.asked)
        try:
            stack.ends.wait_all(ids, END_SECONDS)
        except SystemExit as error:  # the books say which jobs are lost
            say(str(error))
        took = time.time() - measured.began
        cpu = dict(usage.since())
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
        made = renders(stack)
        handed = len(stack.log_lines("DispatchFunction", "job: handed over"))
        violations += check_renders(made, good)
        bus.close()
        queue.close()
    site.close()
    once = sum(site.hits[url.removeprefix(f"http://{site.host}")] == 1 for url, first in wanted if first)
    others = made.total() - sum(made[one] for one in good)
    statuses = Counter(status for _, _, status in measured.accepted)
    final = final_line(books, violations, ambiguous)
    lines = [
        f"JOBS={jobs}: {jobs:,} URLs and {jobs * REPEATS:,} repeats;"
        f" {MISSING:.0%} of the pages are 404, {HANGING:.0%} never come",
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f} at the end; {RENDERS} slots, {CLIENTS} clients, at most"
        f" {MOST_OPEN} open jobs; moto for AWS, a real RabbitMQ, real renders",
        f"{took:.0f} s until all jobs had ended, {jobs / took:.2f} jobs and {len(wanted) / took:.1f} requests a second",
        f"{sum(made[one] for one in good)} renders of {len(good)} good pages, {others} of the others, which are tried"
        f" again; {handed} hand-overs; {once} pages were loaded exactly once",
        "answers: "
        + ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(statuses.items()))
        + "; a repeat of a page that failed less than a minute ago gets that failure, 502 or 504",
        f"`{final}`",
    ]
    completed = [(measured.asked[one], at - measured.asked[one]) for one, at in ends.items()]
    return Result(jobs, measured, completed, took, cpu, violations, final, left, lines)


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
