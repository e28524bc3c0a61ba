"""Lists the cases of a run: which fault hits which stage, for which kind of job, once or for a while."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from tests.faults.armory import BURST, MINUTES, ONCE
from tests.faults.http_proxy import HTTP_FAULTS, ONLY
from tests.faults.pages import PAGE_FAULTS
from tests.faults.stages import AMQP_STAGES, AWS_STAGES
from tests.faults.tcp_proxy import OWNER_FAULTS, TCP_FAULTS

BROKER_FAULTS = ("cut all", "half-open all", "slow all", "refused", "stopped", "killed", "memory alarm")
WHOLE_AWS_FAULTS = ("500", "503 slow down", "403", "hang", "late", "cut before", "cut after")
MESSAGE_FAULTS = ("twice", "ten times", "out of order", "old version", "poison", "near the limit")
POLLED = ("delivered", "acknowledged")
"""Stages on the connection of Lambda's mapping, which is no process of a function."""
FROZEN_FOR_MINUTES = {
    "sent": "single",
    "parked": "bulk",
    "completion": "single",
    "callback.noted": "callback",
    "mail.noted": "single",
}
"""Where a function is stopped for longer than two heartbeats of the broker, and by which kind of job. The queue of bulk
jobs has a dispatcher of its own, so that the other jobs go on."""
ALONE = ("broker", "aws")
"""Stages whose faults hit everything, so that no other case runs at the same time."""
_CANDIDATES = 40


@dataclass(frozen=True)
class Case:
    stage: str
    fault: str
    kind: str
    span: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.fault} ({self.kind}, {self.span})"


def whole_product() -> list[Case]:
    """Returns every case that can happen."""
    found = []
    for stage, kinds in AWS_STAGES.items():
        faults = [*HTTP_FAULTS, *(fault for fault, stages in ONLY.items() if stage in stages)]
        found += [Case(stage, *rest) for rest in itertools.product(faults, kinds, (ONCE, BURST))]
    for stage, kinds in AMQP_STAGES.items():
        faults = [*TCP_FAULTS, *(() if stage in POLLED else OWNER_FAULTS)]
        found += [Case(stage, *rest) for rest in itertools.product(faults, kinds, (ONCE, BURST))]
    found += [Case("broker", *rest) for rest in itertools.product(BROKER_FAULTS, ("single", "bulk", "bare"), (BURST,))]
    found += [Case("aws", *rest) for rest in itertools.product(WHOLE_AWS_FAULTS, ("single", "bulk", "bare"), (BURST,))]
    found += [Case(stage, MINUTES, kind, ONCE) for stage, kind in FROZEN_FOR_MINUTES.items()]
    found += [Case("page", fault, "real", ONCE) for fault in PAGE_FAULTS]
    found += [Case("message", *rest) for rest in itertools.product(MESSAGE_FAULTS, ("single", "bulk"), (ONCE,))]
    return found


def in_order(cases: Iterable[Case], seed: int) -> list[Case]:
    """Returns the cases in random order, but first the ones that take minutes to end; equal seeds, equal lists."""
    drawn = list(cases)
    random.Random(seed).shuffle(drawn)
    return sorted(drawn, key=lambda case: case.fault != MINUTES)


def pairs(case: Case) -> set[tuple[int, str, int, str]]:
    """Returns all pairs of two values of a case, with their positions."""
    values = enumerate(astuple(case))
    return {(i, a, j, b) for (i, a), (j, b) in itertools.combinations(values, 2)}


def pairwise(cases: Iterable[Case], seed: int) -> list[Case]:
    """Returns cases, in random order, that have every pair of values that any case has; equal seeds, equal lists."""
    drawn = random.Random(seed)
    left = {case: pairs(case) for case in cases}
    missing = set().union(*left.values())
    chosen = []
    while missing:
        candidates = drawn.sample(list(left), min(_CANDIDATES, len(left)))
        best = max(candidates, key=lambda case: len(left[case] & missing))
        if not left[best] & missing:  # most cases add nothing any more
            left = {case: own for case, own in left.items() if own & missing}
            continue
        chosen.append(best)
        missing -= left[best]
    drawn.shuffle(chosen)
    return chosen
