"""Writes docs/scale.md and its plot from the results of docs/bench.json."""

from __future__ import annotations

import math
from typing import Any

from infra.local.settings import PROJECT
from tests.bench.figures import Results
from tests.bench.markdown import UNMEASURED, blocks, dated, prose, table
from tests.bench.plots import curve_plot
from tests.bench.scale import AROUND, MOST_USED, P95_SECONDS, PER_HOUR, SLOW_SHARES, WEB_SECONDS, hand_over_rate

DOCUMENT, PLOT = PROJECT / "docs" / "scale.md", PROJECT / "docs" / "scale.svg"
PAGES = {"bench": "pages of the benchmark", "web": f"pages of {WEB_SECONDS:g} s"}
SIZED_FOR = 0.05
"""The share of slow pages for which the parameters are chosen."""
CHECK_HEAD = (
    "slots", "utilisation", "slow", "jobs an hour", "p50 predicted", "p50 measured", "p95 predicted", "p95 measured",
    "machine's load",
)  # fmt: skip
_QUOTA = 1000


def write_scale(results: Results) -> None:
    """Writes the document and the plot."""
    DOCUMENT.write_text(document(results), "utf-8")
    PLOT.write_text(plot(results), "utf-8")


def plot(results: Results) -> str:
    """Returns the plot: the wait at each utilisation, for each share of slow pages."""
    curves = results["scale"].get("curves", {})
    named = {f"{float(share):.0%} slow": [(x, y) for x, y in points] for share, points in curves.items()}
    return curve_plot(
        f"Wait for a slot, p95 in seconds (logarithmic), at a utilisation; 16 slots, pages of {WEB_SECONDS:g} s", named
    )


def plan_rows(plans: list[dict[str, Any]]) -> list[list[str]]:
    """Returns a row for each kind of pages and rate: for each share of slow pages the slots and what they lead to."""
    rows = []
    for kind, title in PAGES.items():
        for per_hour in PER_HOUR:
            found = {one["slow_share"]: one for one in plans if (one["pages"], one["per_hour"]) == (kind, per_hour)}
            if found:
                cells = [
                    f"{one['slots']}: {one['utilisation']:.0%}, {one['wait_p50']:.2f}, {one['wait_p95']:.2f}"
                    for one in (found[share] for share in SLOW_SHARES)
                ]
                rows.append([title, f"{per_hour:,}", *cells])
    return rows


def parameter_rows(plans: list[dict[str, Any]]) -> list[list[str]]:
    """Returns a row for each rate: what to set, for pages of the web of which 5 % are slow."""
    rows = []
    for per_hour in PER_HOUR:
        plan = next(
            one for one in plans if (one["pages"], one["per_hour"], one["slow_share"]) == ("web", per_hour, SIZED_FOR)
        )
        renders = max(4, plan["slots"])
        rate = per_hour / 3600
        settling = max(1, math.ceil(renders / 4))
        busy = renders + settling + math.ceil(4 * rate)
        per_second = max(50, 10 * math.ceil(3 * rate / 10))
        large = per_hour >= 100_000
        reserved = (renders, settling) if renders > 10 else (0, 0)
        rows.append([
            f"{per_hour:,}", f"{renders}", f"{reserved[0]}", f"{reserved[1]}",
            "10", f"{max(100_000, 10 * per_hour):,}", f"{per_second}, {2 * per_second}",
            "mq.m7g.large, 1,500" if large else "mq.m7g.medium, 100",
            f"{busy:,}" + (f", above the default {_QUOTA:,}" if busy > _QUOTA else ""),
        ])  # fmt: skip
    return rows


def check_rows(checks: list[dict[str, Any]]) -> list[list[str]]:
    """Returns a row for each comparison with the local stack."""
    return [
        [
            f"{one['slots']}", f"{one['utilisation']:.0%}", f"{one['slow_share']:.0%}", f"{one['per_hour']:,}",
            *(f"{one[kind][share]:.2f}" for share in ("p50", "p95") for kind in ("predicted", "measured")),
            f"{one['load']:g}",
        ]
        for one in checks
    ]  # fmt: skip


def limit_rows(results: Results) -> list[list[str]]:
    """Returns a row for each limit: what it limits, and how many jobs an hour it allows."""
    measured, rate = hand_over_rate(results)
    slow = 0.95 * WEB_SECONDS + 0.05 * 30 + AROUND
    limits = [
        ("`dispatch`: one mapping hands over one batch at a time",
         f"{measured:.0f} jobs a second, measured here; {rate:.0f} on its share of a CPU on Lambda", rate,
         "Lambda runs one batch at a time for each RabbitMQ queue; only AWS Support can raise that. More MemorySize of"
         " `dispatch` gives it more CPU. Bulk jobs have a mapping of their own"),
        ("Lambda: concurrent executions of the account", f"{_QUOTA:,} by default", 0.8 * _QUOTA / slow,
         f"a slot is held for {slow:.2f} s on average; 80 % of the quota for `render`. A quota can be raised, Renders"
         " to 1,000 only"),
        ("EventBridge: deliveries to targets", "18,750 a second in us-east-1, 750 in the smallest regions", 750 / 4,
         "each end goes to four targets; beyond the quota deliveries are late, not lost. The jobs are those of the"
         " smallest regions"),
        ("EventBridge: PutEvents", "10,000 a second in us-east-1", 10_000, "one event for each end"),
        ("S3: writes below one prefix", "3,500 a second", 3_500 / 5,
         "five writes below `job/` for each job. The ids are random, so S3 can divide the prefix further"),
        ("S3: writes below `slot/`", "3,500 a second", 3_500 / 2,
         "two for each job, and the keys are few, so that S3 cannot divide them much"),
    ]  # fmt: skip
    return [
        [what, limit, f"{each * 3600:,.0f}", why] for what, limit, each, why in sorted(limits, key=lambda one: one[2])
    ]


def document(results: Results) -> str:
    """Returns docs/scale.md."""
    found = results["scale"]
    if not found:
        return blocks("# Scale", UNMEASURED) + "\n"
    plans = found["plans"]
    return blocks(
        "# Scale",
        prose(
            "How many slots a deployment needs, how long jobs wait, and which limit it meets first. `make bench"
            " PARTS=scale` writes this page. Nothing was measured on AWS."
        ),
        "## What to set",
        prose(
            f"Parameters of `template.yaml` for pages of {WEB_SECONDS:g} s, of which {SIZED_FOR:.0%} take 30 s. 95 % of"
            f" the jobs get a slot within {P95_SECONDS:g} s, and {MOST_USED:.0%} of the slots are in use on average at"
            " most. Jobs arrive at random times; for bursts, take the rate of the busiest minute. If all slots are in"
            " use, jobs wait in the queue and none is lost. 0 reserves no concurrency. The last column is the number of"
            " concurrent executions that Lambda must allow, with those of `api` and the consumers; a new account has"
            " 10. RateLimit, BurstLimit and QuotaLimit count for each API key, so set them for your largest client."
        ),
        table(
            (
                "PDFs an hour", "Renders", "RenderConcurrency", "SettleConcurrency", "BatchSize", "QueueLimit",
                "StageRateLimit, StageBurstLimit", "BrokerInstanceType, BrokerConnections", "executions",
            ),
            parameter_rows(plans),
        ),
        "## Slots and waiting",
        prose(
            "The model is a queue with one server for the hand-over, and then one server for each slot, first come,"
            " first served, with random (Poisson) arrivals. It is simulated, because a few pages of 30 s among short"
            " ones are outside of what formulas for the mean, such as that of Allen and Cunneen, describe well. Without"
            " slow pages it agrees with Erlang C, which the tests check. A slot is held for the page and"
            f" {AROUND:g} s more for claim, hand-over and settling, an assumption for AWS. Each cell has the smallest"
            " number of slots, their utilisation, and p50 and p95 of the wait in seconds."
        ),
        table(("pages", "PDFs an hour", *(f"{share:.0%} slow" for share in SLOW_SHARES)), plan_rows(plans)),
        "![The wait at each utilisation, for 0 to 5 % slow pages](scale.svg)",
        prose(
            "Waits below 0.01 s are drawn at 0.01 s. Slow pages cost more slots than their share suggests: 5 % pages of"
            " 30 s add half of the time of the others to the mean, and the wait grows with the variance. Bulk jobs"
            " leave a quarter of Renders to single requests, so for them count three quarters of the slots."
        ),
        "## Where it ends",
        prose("The limits in the order in which a deployment meets them; jobs an hour that each allows:"),
        table(("limit", "its value", "jobs an hour", "why"), limit_rows(results)),
        prose(
            "The broker has room for more: a job takes three publishes. Its connections are the limit to watch. Each"
            " environment of `api`, `dispatch` and `settle` keeps one until it has been idle for one to two minutes,"
            " and mq.m7g.medium allows 100 by default (300 at most), mq.m7g.large 1,500 (5,000). A parked message stays"
            " for a lease of 195 s, so at 28 jobs a second 5,400 messages lie in the delay queues. Sources: the"
            " developer guides of Lambda and Amazon MQ (“Default resource limits”), the S3 user guide (“Best practices"
            " design patterns: optimizing Amazon S3 performance”), and the EventBridge user guide (“Amazon EventBridge"
            " quotas”)."
        ),
        "## Compared with the local stack",
        prose(
            f"{dated(results, 'scale')} The same model beside the local stack, with simulated renders of 0.5 to 1.5 s"
            " and slow ones of 30 s. The stack's own times around a render were measured first. Model and stack get the"
            " same times of requests and pages. Waits for a slot in seconds:"
        ),
        table(CHECK_HEAD, check_rows(found["checks"])) if found["checks"] else UNMEASURED,
        prose(
            "All processes of the local stack share this machine's CPUs, so a busy machine adds to the measured waits."
        ),
    ) + "\n"  # fmt: skip
