"""Makes histories about one situation that random operations rarely build.

Each of them has a few operations on one job, and the faults that lead to the situation are frequent. Everything else,
such as the moment of each fault, is random as in other histories.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.outside import MAILS
from tests.simulation.setting import Operation, Setting

Plan = tuple[Setting, list[Operation]]


def _setting(rng: random.Random) -> Setting:
    return Setting(renders=1, max_attempts=rng.choice((1, 2, 3)), faults=rng.choice((0.0, 0.02)), heal_at=400.0)


def _again(at: float, *tell: str) -> Operation:
    """A request that no stored PDF answers."""
    return Operation(round(at, 2), "request", max_age=0, tell=tell)


def _slow_deletes(rng: random.Random) -> Plan:
    """A job is deleted slowly, or while `settle` is slow, and requested again meanwhile."""
    first = rng.uniform(1, 6)
    operations = [_again(0.0), Operation(round(first, 2), "delete"), _again(first + rng.uniform(0, 5))]
    if rng.random() < 0.5:
        operations.append(Operation(round(first + rng.uniform(0, 5), 2), "delete"))
    return replace(_setting(rng), slow=rng.choice(("delete", "settle 1"))), operations


def _takeovers(rng: random.Random) -> Plan:
    """A job waits in its queue for more than an hour, and requests that often fail take it over."""
    operations = [_again(0.0), Operation(0.01, "down", seconds=4500), Operation(1.0, "jump", seconds=3700)]
    operations += [_again(2 + rng.uniform(0, 20)) for _ in range(rng.choice((1, 2)))]
    return replace(_setting(rng), weak="request", heal_at=5000.0), operations


def _late_announcements(rng: random.Random) -> Plan:
    """`settle` often fails after it has written an end, and the clock jumps before the end is announced."""
    jump = rng.uniform(1, 60)
    operations = [_again(0.0), Operation(round(jump, 2), "jump", seconds=500), _again(jump + rng.uniform(0, 5))]
    return replace(_setting(rng), weak="settle", slow="mapping"), operations


def _second_runs(rng: random.Random) -> Plan:
    """Lambda mostly runs an event twice, and the first call of `settle` or all of them are slow."""
    slow = rng.choice(("settle", "settle 1"))
    return replace(_setting(rng), slow=slow, twice=0.9, faults=0.0), [_again(0.0)]


def _late_mails(rng: random.Random) -> Plan:
    """A slow request for a mail comes while the job is deleted, and mails often fail."""
    operations = [_again(0.0, MAILS[0]), _again(rng.uniform(0.8, 2.2), MAILS[0])]
    operations.append(Operation(round(rng.uniform(1.5, 8), 2), "delete"))
    return replace(_setting(rng), weak="mail", slow="request 2"), operations


FOCUSES: tuple[Callable[[random.Random], Plan], ...] = (
    _slow_deletes,
    _takeovers,
    _late_announcements,
    _second_runs,
    _second_runs,
    _late_mails,
)
