"""Measures the throughput of the whole stack, and how fast dispatch hands over, with simulated renders."""

from __future__ import annotations

import http.client
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import amqp

from tests.bench.local import PATIENCE, LocalStack, Site, running
from tests.bench.usage import Usage, shown
from urlshot.adapters.store import Store, upload_key
from urlshot.core import records
from urlshot.core.identity import job_id
from urlshot.core.messages import EXCHANGE, START
from urlshot.core.options import Options
from urlshot.core.private import Private
from urlshot.core.render_contract import RenderJob, Upload

RENDERS = 8
JOBS, ROUNDS = 160, 3
MEDIAN_SECONDS, SPREAD = 1.5, 0.5
"""The duration of a simulated render: the median in seconds, and the standard deviation of its logarithm."""
LIMIT_SHARE, LIMIT_SECONDS = 0.02, 10.0
"""The share of renders that reach the time limit, and that limit in seconds."""
RATE_JOBS, RATE_ROUNDS = 500, 2
FEW_SLOTS, ENOUGH_SLOTS = 40, 1000
"""With few slots, renders take no time, and dispatch waits until settle frees slots. With enough slots, renders last
`HELD_SECONDS`, so that dispatch shares the machine with the broker and moto alone."""
HELD_SECONDS = 60.0
RATE_SECONDS = 600.0
HANDED_OVER = "job: handed over"
Say = Callable[[str], None]


def page_times(seed: int) -> list[tuple[float, bool]]:
    """Returns for each job its seconds and whether it reaches the time limit; equal seeds give equal lists."""
    chance = random.Random(seed)
    slow = set(chance.sample(range(JOBS), round(JOBS * LIMIT_SHARE)))
    return [
        (LIMIT_SECONDS, True) if number in slow else (chance.lognormvariate(math.log(MEDIAN_SECONDS), SPREAD), False)
        for number in range(JOBS)
    ]


def throughput(project: Path, site: Site, say: Say) -> float:
    """Measures jobs per second through the stack and by direct invocations, in turns.

    Returns:
        The median of the first rate divided by the second.
    """
    ratios = []
    # One attempt for each job, because direct invocations do not repeat a render that reaches its limit.
    with running(project, site, Renders=RENDERS, MaxAttempts=1) as stack:
        warm(stack, site, RENDERS)
        for round_ in range(ROUNDS):
            times = page_times(round_)
            ideal = ideal_seconds([seconds for seconds, _ in times])
            directly = direct(stack, site, times)
            usage = Usage(stack)
            wholly = whole(stack, site, times)
            ratios.append(directly / wholly)
            say(
                f"throughput: {JOBS} simulated renders, {RENDERS} at a time: directly {JOBS / directly:.2f}/s, through"
                f" the stack {JOBS / wholly:.2f}/s: {directly / wholly:.2f} ({JOBS / ideal:.2f}/s at best)"
            )
            say(f"throughput: CPU seconds in {wholly:.1f} s: {shown(usage.since())}")
        around, between = slot_times(stack)
        say(
            f"throughput: medians: {around * 1000:.0f} ms from hand-over to settled, without the render itself,"
            f" {between * 1000:.0f} ms from there to the slot's next hand-over"
        )
    return statistics.median(ratios)


def ideal_seconds(times: list[float]) -> float:
    """Returns the seconds that all renders take if each starts as soon as a slot is free."""
    free = [0.0] * RENDERS
    for seconds in times:
        free[free.index(min(free))] += seconds
    return max(free)


def upload_form(s3: Any, bucket: str, key: str) -> Upload:
    """Returns a form for one upload. S3 takes only the fields that the form's policy names."""
    fields = {"Content-Type": "application/pdf"}
    return Upload(**s3.generate_presigned_post(bucket, key, Fields=dict(fields), Conditions=[fields]))


def direct(stack: LocalStack, site: Site, times: list[tuple[float, bool]]) -> float:
    """Invokes the simulated renders directly, with one thread for each slot, and returns the seconds for all."""
    address = urlsplit(stack.ready["invoke_endpoint"]).netloc
    lease = records.now() + timedelta(hours=1)

    def job(seconds: float, limit: bool) -> bytes:
        url = page(site, seconds, limit=limit)
        name, generation, claim = job_id(url, {}), records.new_generation(), records.new_claim()
        form = upload_form(stack.s3, stack.ready["bucket"], upload_key(name, claim))
        made = RenderJob(id=name, generation=generation, claim=claim, lease_until=lease, url=url, upload=form)
        return made.model_dump_json().encode()

    def render(payload: bytes) -> None:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        connection.request("POST", "/2015-03-31/functions/RenderFunction/invocations", payload)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        if answer.status != 200 or not (body.get("etag") or body.get("error")):
            raise SystemExit(f"a simulated render failed: {answer.status} {body}")

    jobs = [job(*one) for one in times]
    began = time.monotonic()
    with ThreadPoolExecutor(RENDERS) as pool:
        list(pool.map(render, jobs))
    return time.monotonic() - began


def whole(stack: LocalStack, site: Site, times: list[tuple[float, bool]]) -> float:
    """Publishes a message for each page, and returns the seconds until every job has ended.

    It writes the records first, as `api` does, so that all slots are busy from the start.
    """
    store = Store(stack.ready["bucket"], stack.s3)
    jobs = [queued_job(store, page(site, seconds, limit=limit)) for seconds, limit in times]
    began = time.time()
    publish(stack, [body for _, body in jobs])
    found = stack.ends.wait_all([name for name, _ in jobs], RATE_SECONDS)
    failed = sum(event["error"] is not None for _, event in found)
    if failed != sum(limit for _, limit in times):
        raise SystemExit(f"{failed} simulated jobs failed")
    return max(at for at, _ in found) - began


def slot_times(stack: LocalStack) -> tuple[float, float]:
    """Returns two medians in seconds.

    The first is the time from the hand-over until the job is settled, without the render itself. The second is the time
    from there until the same slot is handed over again.
    """
    settled = {line["claim"]: _at(line) for line in stack.log_lines("SettleFunction", "render: settled")}
    free: dict[int, float] = {}
    around, between = [], []
    for line in sorted(stack.log_lines("DispatchFunction", HANDED_OVER), key=_at):
        if line["slot"] in free:
            between.append(_at(line) - free[line["slot"]])
        if line["claim"] in settled:
            free[line["slot"]] = settled[line["claim"]]
            seconds = float(parse_qs(urlsplit(line["url"]).query)["seconds"][0])
            around.append(settled[line["claim"]] - _at(line) - seconds)
    return statistics.median(around), statistics.median(between)


@dataclass(frozen=True)
class Rate:
    """How fast dispatch hands over in batches of up to `batch`.

    Attributes:
        batch: The largest batch.
        per_second: Jobs per second, the median of all rounds.
        cpu_ms: Milliseconds of CPU time for each job until the last is handed over, by kind of process.
    """

    batch: int
    per_second: float
    cpu_ms: dict[str, float]


def hand_over_rate(project: Path, site: Site, say: Say, batch: int, slots: int) -> Rate:
    """Prints how many jobs per second dispatch hands over in batches of `batch`, and the CPU time by process."""
    rates: list[float] = []
    spent: list[dict[str, float]] = []
    held = slots >= RATE_JOBS
    instances, seconds, rounds = (1, HELD_SECONDS, 1) if held else (slots, 0.0, RATE_ROUNDS)
    with running(project, site, Renders=slots, RenderConcurrency=instances, BatchSize=batch) as stack:
        warm(stack, site, instances)
        store = Store(stack.ready["bucket"], stack.s3)
        earlier = {name: calls(stack, name) for name in ("DispatchFunction", "SettleFunction")}
        for _ in range(rounds):
            messages = [queued_job(store, page(site, seconds)) for _ in range(RATE_JOBS)]
            before = len(handed_over(stack))
            usage, began = Usage(stack), time.monotonic()
            publish(stack, [body for _, body in messages])
            stack.await_log("DispatchFunction", HANDED_OVER, before + RATE_JOBS, RATE_SECONDS)
            used, took = usage.since(), time.monotonic() - began
            if not held:
                stack.ends.wait_all([name for name, _ in messages], RATE_SECONDS)
            at = handed_over(stack)[before:]
            rates.append((len(at) - 1) / (max(at) - min(at)))
            spent.append({kind: seconds * 1000 / RATE_JOBS for kind, seconds in used})
            own = spent[-1].get("dispatch", 0.0)
            say(
                f"rate: {RATE_JOBS} jobs, {slots} slots, batches of up to {batch}: {rates[-1]:.0f} handed over per"
                f" second; dispatch used {own:.1f} ms of CPU time for each"
            )
            say(f"rate: CPU seconds in {took:.1f} s until the last was handed over: {shown(used)}")
        for name, counted in earlier.items():
            made, jobs = calls(stack, name) - counted, RATE_JOBS * rounds
            per_job = ", ".join(f"{kind} {count / jobs:.2f}" for kind, count in made.most_common())
            in_s3 = sum(count for kind, count in made.items() if kind.startswith("S3"))
            say(f"rate: {name}: {in_s3 / jobs:.2f} S3 calls a job; {per_job}")
    kinds = {kind for one in spent for kind in one}
    cpu = {kind: round(statistics.median(one.get(kind, 0.0) for one in spent), 1) for kind in sorted(kinds)}
    return Rate(batch, statistics.median(rates), cpu)


def warm(stack: LocalStack, site: Site, count: int) -> None:
    """Starts `count` instances of the simulated render, by as many renders that overlap."""
    urls = [page(site, 3.0) for _ in range(count)]
    publish(stack, [json.dumps({"url": url}).encode() for url in urls])
    stack.ends.wait_all([job_id(url, {}) for url in urls], 2 * PATIENCE)


def page(site: Site, seconds: float, *, limit: bool = False) -> str:
    """Returns the URL of a page whose simulated render takes `seconds`."""
    return f"{site.new('simulated')}&seconds={seconds:.3f}{'&limit=1' if limit else ''}"


def publish(stack: LocalStack, bodies: list[bytes]) -> None:
    """Publishes messages to the work queue and waits for the confirm of each."""
    with stack.channel() as channel:
        for body in bodies:
            channel.basic_publish(amqp.Message(body, delivery_mode=2), EXCHANGE, START)


def queued_job(store: Store, url: str) -> tuple[str, bytes]:
    """Writes the record of a queued job, as `api` does, and returns its id and the body of its message."""
    at = records.now()
    record = records.create(job_id(url, {}), url, Options(), at)
    store.create(records.queued(record, at))
    return record.id, records.message_of(record, Private()).body()


def handed_over(stack: LocalStack) -> list[float]:
    """Returns when jobs were handed over, in seconds since the epoch."""
    return [_at(line) for line in stack.log_lines("DispatchFunction", HANDED_OVER)]


def _at(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def calls(stack: LocalStack, function: str) -> Counter[str]:
    """Returns the number of calls to AWS that a function has made, by kind."""
    found: Counter[str] = Counter()
    for line in stack.log_lines(function, "calls"):
        found.update(line["calls"])
    return found
