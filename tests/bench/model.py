"""The queueing model of the deployed system: jobs arrive, one mapping hands them over, and slots serve them in order.

It is a queue G/G/c with first come, first served: the start of a job is the later one of its arrival and the time at
which the first of `slots` servers is free (Kiefer and Wolfowitz, 1955). Before the slots there is one server, the
mapping, which hands over one job after another. With Poisson arrivals and exponential times, and without the mapping,
it is the M/M/c queue, whose waiting time Erlang C gives; the tests compare the two.

All times are in seconds, all rates per second.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A deployment.

    Attributes:
        slots: The pages that are rendered at a time; the parameter Renders.
        hand_over: The time for which the mapping is busy with a job.
        around: The time for which a slot is held before and after the render: claim, hand-over, settling.
        between: The time until a slot that was given back can be taken again.
        delivery: The time from the request to the hand-over of a job that does not wait.
    """

    slots: int
    hand_over: float = 0.0
    around: float = 0.0
    between: float = 0.0
    delivery: float = 0.0


@dataclass(frozen=True)
class Pages:
    """The times of pages: each is as likely as any other, but a share of slow pages takes `slow_seconds`."""

    seconds: tuple[float, ...]
    slow_share: float = 0.0
    slow_seconds: float = 30.0

    @property
    def mean(self) -> float:
        """The mean time of a page."""
        plain = sum(self.seconds) / len(self.seconds)
        return (1 - self.slow_share) * plain + self.slow_share * self.slow_seconds

    def draw(self, chance: random.Random) -> float:
        """Draws the time of a page."""
        return self.slow_seconds if chance.random() < self.slow_share else chance.choice(self.seconds)


def waits(system: System, arrivals: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """Returns for each job the time from its request until it has a slot.

    Args:
        system: The deployment.
        arrivals: When the jobs are requested, in ascending order.
        seconds: The time of each job's page.
    """
    free = [-math.inf] * system.slots  # a heap: when each slot is free
    mapping = -math.inf
    found = []
    for arrival, page in zip(arrivals, seconds, strict=True):
        start = max(arrival + system.delivery, mapping + system.hand_over, free[0] + system.between)
        mapping = start
        heapq.heapreplace(free, start + system.around + page)
        found.append(start - arrival)
    return found


def arrivals(rate: float, count: int, chance: random.Random) -> list[float]:
    """Draws the times of `count` requests of a Poisson process."""
    at, found = 0.0, []
    for _ in range(count):
        at += chance.expovariate(rate)
        found.append(at)
    return found


def utilisation(system: System, pages: Pages, rate: float) -> float:
    """Returns the share of the slots' time that is used; a queue with 1 or more grows without end."""
    return rate * (pages.mean + system.around) / system.slots


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the smallest value that is not below `share` of the values (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def erlang_c(slots: int, load: float) -> float:
    """Returns the probability that a job waits in the queue M/M/c, for a load of `rate * mean time` below `slots`.

    Source: A. K. Erlang, 1917; by the recursion of Erlang B, which is numerically stable.
    """
    if load >= slots:
        return 1.0
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / slots * (1 - blocked))


def simulated_waits(system: System, pages: Pages, rate: float, count: int, seed: int = 1) -> list[float]:
    """Simulates `count` jobs and returns the waits of those after the first tenth, in which the queue fills."""
    chance = random.Random(seed)
    found = waits(system, arrivals(rate, count, chance), [pages.draw(chance) for _ in range(count)])
    return found[count // 10 :]


def least_slots(system: System, pages: Pages, rate: float, p95: float, most_used: float, count: int) -> int:
    """Returns the smallest number of slots with which 95 % of the jobs wait at most `p95`.

    The search doubles the number, then halves the interval; more slots never make a job wait longer.

    Args:
        system: The deployment; its own number of slots does not matter.
        pages: The times of pages.
        rate: Requests per second.
        p95: Seconds.
        most_used: The highest utilisation. Many slots wait little even if nearly all are in use, but then any burst
            makes a long queue.
        count: The number of jobs to simulate.
    """

    def enough(slots: int) -> bool:
        tried = System(slots, system.hand_over, system.around, system.between, system.delivery)
        if utilisation(tried, pages, rate) > most_used:
            return False
        return percentile(simulated_waits(tried, pages, rate, count), 0.95) <= p95

    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
