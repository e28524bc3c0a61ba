"""Makes histories from seeds, and shrinks histories that have violations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from functions.topology.description import DELIVERY_LIMIT
from tests.simulation.books import Violation
from tests.simulation.decisions import Decisions
from tests.simulation.focus import FOCUSES
from tests.simulation.outside import CALLBACKS, MAILS
from tests.simulation.setting import URLS, Operation, Setting
from tests.simulation.world import World


@dataclass(frozen=True)
class History:
    """A history that can be run again: the deployment, the operations, and the decisions that are not 0."""

    setting: Setting
    operations: tuple[Operation, ...]
    decisions: dict[str, int] = field(default_factory=dict)

    def run(self, *, tracing: bool = False) -> tuple[list[Violation], World]:
        world = World(self.setting, list(self.operations), Decisions(0, self.decisions), tracing=tracing)
        return world.run(), world


@dataclass(frozen=True)
class Result:
    """The result of a history.

    `counts` has the counts of the books, and `histories`, `full` (histories with the least numbers of their size),
    `requests`, `faults`, `calls` (the faults at calls), and `steps`.
    """

    seed: int
    violations: list[Violation]
    counts: Counter[str]


@dataclass(frozen=True)
class Size:
    """The least numbers of requests and faults of a full history."""

    requests: int
    more: int
    """The greatest number of requests beyond the least one."""
    faults: int
    quiet: tuple[int, ...]
    """Each history draws one of these as its number of calls before faults become more frequent."""
    focused: float
    """The probability that a history is about one situation, and has fewer requests and faults (focus.py)."""


LARGE = Size(requests=10, more=2, faults=5, quiet=(0, 10, 20, 40, 80), focused=0.0)
SMALL = Size(requests=3, more=1, faults=5, quiet=(0, 5, 10, 20, 40), focused=0.25)

NOT_FULL = 16
"""One of so many histories is not full: it may have fewer requests, and few faults or none."""

MIXES = (
    {"request": 80, "bare": 10, "delete": 10},
    {"request": 60, "delete": 40},
    {"request": 70, "bare": 15, "delete": 15},
    {"request": 80, "bare": 20},
)
"""The weights of the kinds of requests. Each history draws one of these mixes."""

WEAK = ("", "", "", "", "request", "dispatch", "settle", "settle", "delete", "mail", "callback")
"""Each history draws a function whose calls often fail, and one whose calls often take long. Empty is none."""


def plan(seed: int, size: Size = LARGE) -> tuple[Setting, list[Operation]]:
    """Returns the deployment and the operations of a seed."""
    rng = random.Random(seed)
    if size.focused and rng.random() < size.focused:
        return rng.choice(FOCUSES)(rng)
    full = rng.randrange(NOT_FULL) > 0
    slow, weak = rng.choice(WEAK), rng.choice(WEAK)
    waiting = rng.random() < 0.05
    if rng.random() < 0.5:  # some mistakes show only if the same function is weak and slow, or if a takeover fails
        weak = "request" if waiting else slow
    setting = Setting(
        renders=rng.choice((1, 1, 2, 3)),
        batch=rng.choice((1, 2, 4)),
        max_attempts=rng.choice((1, 2, 2, 3)),
        max_job_age=rng.choice((86_400, 86_400, 86_400, 900)),
        same_bytes=rng.random() < (0.4 if slow == "settle" else 0.1),
        operator=rng.random() < 0.25,
        faults=rng.choice((0.01, 0.03, 0.06, 0.12) if full else (0.0, 0.01, 0.03, 0.06)),
        least=size.faults if full else 0,
        quiet=rng.choice(size.quiet),
        freezes=rng.choice((0.0, 0.0, 0.01, 0.05)),
        weak=weak if full else "",
        slow=slow if full else "",
        heal_at=5000.0 if waiting else rng.choice((120.0, 400.0, 900.0)),
        deliveries=rng.choice((DELIVERY_LIMIT, DELIVERY_LIMIT, DELIVERY_LIMIT, 1)),
    )
    urls = URLS[: rng.choice((1, 1, 1, 2, 3))]
    horizon = rng.choice((1.0, 5.0, 5.0, 30.0, setting.heal_at))
    later = rng.random() < 0.3
    telling = rng.choice((0.0, 0.2, 0.4, 0.6))
    mix = rng.choice((MIXES[0], *MIXES))
    number = size.requests + rng.randrange(size.more + 1) if full else rng.randrange(2, size.requests)
    last = (
        min(rng.randrange(1, 4), number - 1) if later else 0
    )  # after the messages of these jobs have returned from the delay queues
    operations = [_operation(rng, mix, urls, telling, horizon) for _ in range(number - last)]
    operations += [_operation(rng, mix, urls, telling, 20.0, setting.heal_at - 30.0) for _ in range(last)]
    if waiting:  # the first jobs wait in their queue for more than an hour, and requests take them over
        operations += [Operation(0.01, "down", seconds=4500), Operation(horizon / 2, "jump", seconds=3700)]
    elif rng.random() < 0.3:
        operations += [_disturbance(rng, horizon) for _ in range(rng.randrange(1, 4))]
    return setting, sorted(operations, key=lambda one: one.at)


def _disturbance(rng: random.Random, horizon: float) -> Operation:
    at = round(rng.random() * horizon, 2)
    if rng.random() < 0.6:
        return Operation(at, "down", seconds=rng.choice((10, 100, 400, 600)))
    return Operation(at, "jump", seconds=rng.choice((1, 30, 200, 500)))


def _operation(
    rng: random.Random, mix: dict[str, int], urls: tuple[str, ...], telling: float, horizon: float, begin: float = 0.0
) -> Operation:
    """Draws an operation; `telling` is the probability that a request names an address of each kind."""
    at, url = round(begin + rng.random() * horizon, 2), rng.choice(urls)
    tell = tuple(rng.choices(some, (20, 5, 1))[0] for some in (CALLBACKS, MAILS) if rng.random() < telling)
    match what := rng.choices(list(mix), list(mix.values()))[0]:
        case "request":
            priority = rng.choice(("normal", "normal", "bulk"))
            return Operation(at, what, url, rng.choice((0, 5, 3600)), priority, tell=tell)
        case "bare":
            return Operation(at, what, url, priority=rng.choice(("normal", "bulk")))
        case _:
            return Operation(at, what, url)


def run(seed: int, size: Size = LARGE) -> Result:
    """Runs the history of a seed and returns its result."""
    setting, operations = plan(seed, size)
    world = World(setting, operations, Decisions(seed))
    violations = world.run()
    counts = world.books.counts()
    requests = sum(one.what in ("request", "bare", "delete") for one in operations)
    calls = world.decisions.injected
    faults = calls + world.decisions.disturbed + len(operations) - requests
    full = requests >= size.requests and faults >= size.faults
    counts.update(histories=1, full=full, requests=requests, faults=faults, calls=calls, steps=world.kernel.steps)
    world.release()
    return Result(seed, violations, counts)


def record(seed: int, size: Size = LARGE) -> History:
    """Returns the history of a seed with all of its decisions recorded."""
    setting, operations = plan(seed, size)
    world = World(setting, operations, Decisions(seed, record=True))
    world.run()
    return History(setting, tuple(operations), dict(world.decisions.made))


def shrink(history: History, kind: str, tries: int = 1500) -> History:
    """Returns a smaller history with a violation of the same kind: with fewer operations and fewer decisions.

    Args:
        history: The history to shrink; it is returned as it is if it has no such violation.
        kind: The kind of the violation.
        tries: How many histories to run, roughly.
    """
    left = tries

    def fails(one: History) -> bool:
        nonlocal left
        left -= 1
        return any(found.kind == kind for found in one.run()[0])

    if not fails(history):
        return history
    before = None
    while before != history and left > 0:
        before = history
        for index in reversed(range(len(history.operations))):
            fewer = history.operations[:index] + history.operations[index + 1 :]
            if fails(smaller := replace(history, operations=fewer)):
                history = smaller
        for index, one in enumerate(history.operations):
            operations = (*history.operations[:index], replace(one, tell=()), *history.operations[index + 1 :])
            if one.tell and fails(smaller := replace(history, operations=operations)):
                history = smaller
        history = _without_decisions(history, fails, lambda: left > 0)
        for name, value in (
            ("faults", 0.0),
            ("same_bytes", False),
            ("operator", False),
            ("batch", 1),
            ("renders", 1),
            ("max_attempts", 1),
        ):
            smaller = replace(history, setting=replace(history.setting, **{name: value}))
            if smaller != history and fails(smaller):
                history = smaller
    return history


def _without_decisions(history: History, fails: Callable[[History], bool], more: Callable[[], bool]) -> History:
    size = max(1, len(history.decisions) // 2)
    while more():
        names = list(history.decisions)
        for start in range(0, len(names), size):
            without = set(names[start : start + size])
            kept = {name: code for name, code in history.decisions.items() if name not in without}
            if len(kept) < len(history.decisions) and more() and fails(smaller := replace(history, decisions=kept)):
                history = smaller
        if size == 1:
            break
        size = max(1, size // 2)
    return history


def story(history: History) -> str:
    """Returns a text that lists the operations, decisions, steps and violations of a history."""
    violations, world = history.run(tracing=True)
    lines = [f"{history.setting}", "operations (seconds):", *(f"  {one}" for one in history.operations)]
    lines += ["decisions that are not 0:", *(f"  {name} = {code}" for name, code in history.decisions.items())]
    lines += ["steps:", *(world.kernel.trace or [])]
    lines += ["violations:", *(f"  {one.kind}: {one.text}" for one in violations)]
    return "\n".join(lines)
