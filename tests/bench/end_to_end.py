"""Times a request on the idle stack, and measures whether the processor time for a job grows with the number of jobs.

The stack is local: moto for AWS, a real RabbitMQ, real functions. The request on the idle stack has real renders. For
10, 100, 1,000 jobs and so on, renders are simulated and take no time. All jobs of a size are requested with `POST` as
fast as the API accepts them, on one stack, so queue and bucket hold ever more.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from infra.local.settings import PROJECT
from tests.bench.handover import RENDERS, stages, warm
from tests.bench.local import LocalStack, Site, running
from tests.bench.project import simulated_project
from tests.bench.rate import calls, page
from tests.bench.rate import warm as warm_simulated
from tests.bench.usage import Usage, shown

SAMPLES = 60
"""Requests on the idle stack."""
MOST_JOBS = 1000
CLIENTS, SLOTS = 4, 8
WARM_UP = 100
"""Jobs before the first measurement. A smaller number of jobs is measured again until there are so many."""
SECONDS_A_JOB = 1.0
"""The longest time that a job may take on average; generous, because the machine may be busy."""
COUNTED = {"dispatch": "DispatchFunction", "settle": "SettleFunction"}
TRIES = 10
LOGGED = "OK - The PDF has been generated"
Say = Callable[[str], None]


def sizes(most: int) -> list[int]:
    """Returns the numbers of jobs to measure: powers of ten from 10 to `most`, and `most`."""
    found, size = [], 10
    while size < most:
        found.append(size)
        size *= 10
    return [*found, most]


def end_to_end(most: int, say: Say) -> Iterator[dict[str, Any]]:
    """Measures both.

    Args:
        most: The largest number of jobs, at least 1.
        say: Prints a line.

    Yields:
        After each number of jobs, what is known: `stages_ms`: for each stage of a request on the idle stack, the
        milliseconds of all samples, with the machine's `idle_load`. `jobs`: for each number of jobs what `_jobs`
        returns.
    """
    site = Site()
    try:
        with running(PROJECT, site, Renders=RENDERS) as stack:
            warm(stack, site)
            idle = _idle(stack, site)
            load = round(os.getloadavg()[0], 1)
        middle, worst = statistics.median(idle["POST to done"]), max(idle["POST to done"])
        say(f"end to end: POST to done on the idle stack: median {middle:.0f} ms, worst {worst:.0f} ms")
        with simulated_project() as project, running(project, site, Renders=SLOTS, RenderConcurrency=SLOTS) as stack:
            warm_simulated(stack, site, SLOTS)
            _jobs(stack, site, WARM_UP)  # starts the instances of all functions
            found: dict[str, Any] = {}
            for size in sizes(most):
                one = found[str(size)] = _jobs(stack, site, size)
                spent = shown(list(one["cpu_ms"].items()))
                say(f"end to end: {size} jobs, {one['per_second']} a second; ms of CPU a job: {spent}")
                yield {"stages_ms": idle, "idle_load": load, "jobs": found}
    finally:
        site.close()


def _idle(stack: LocalStack, site: Site) -> dict[str, list[float]]:
    """Returns the milliseconds of each stage of `SAMPLES` requests, one after another."""
    found: dict[str, list[float]] = {}
    for _ in range(SAMPLES):
        for name, seconds in stages(stack, site).items():
            found.setdefault(name, []).append(round(seconds * 1000, 1))
    return found


def _jobs(stack: LocalStack, site: Site, size: int) -> dict[str, Any]:
    """Requests `size` jobs, waits for their ends, and repeats that until there are at least `WARM_UP` jobs.

    Returns:
        `per_second`: jobs that ended per second. `cpu_ms`: milliseconds of processor time for each job by kind of
        process, the largest first, until `log` has reported the last. `calls`: calls to AWS for each job, by function
        and kind. `load`: the machine's load at the end.
    """
    rounds = math.ceil(WARM_UP / size)
    earlier = {name: calls(stack, function) for name, function in COUNTED.items()}
    logged, usage, took = _logged(stack), Usage(stack), 0.0
    for number in range(1, rounds + 1):
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            ids = list(clients.map(partial(_request, stack), [page(site, 0.0) for _ in range(size)]))
        usage.look()  # the stack ends instances of `api` that get no requests for long
        stack.ends.wait_all(ids, 60 + SECONDS_A_JOB * size)
        took += time.monotonic() - began
        stack.await_log("LogFunction", LOGGED, logged + number * size, 60 + SECONDS_A_JOB * size)
    jobs, used = rounds * size, usage.since()
    made = {name: calls(stack, function) - earlier[name] for name, function in COUNTED.items()}
    return {
        "per_second": round(jobs / took, 1),
        "cpu_ms": {kind: round(seconds * 1000 / jobs, 2) for kind, seconds in used},
        "calls": {name: _each(counted, jobs) for name, counted in made.items()},
        "load": round(os.getloadavg()[0], 1),
    }


def _request(stack: LocalStack, url: str) -> str:
    """Requests a PDF and returns the id of the job; a busy service's answer 503 says when to try again."""
    for _ in range(TRIES):
        try:
            return stack.post(url)
        except HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(float(error.headers["Retry-After"]))
    raise SystemExit(f"the API answered 503 {TRIES} times")


def _logged(stack: LocalStack) -> int:
    """Returns how many PDFs `log` has reported."""
    file = Path(stack.ready["logs"]) / "LogFunction.log"
    return file.read_bytes().count(LOGGED.encode()) if file.exists() else 0


def _each(counted: Counter[str], size: int) -> dict[str, float]:
    return {kind: round(count / size, 3) for kind, count in sorted(counted.items())}
