"""Makes histories from seeds, and shrinks those that go wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.simulation.books import Violation
from tests.simulation.kernel import Decisions
from tests.simulation.world import URLS, Operation, Setting, World


@dataclass(frozen=True)
class History:
    """A history as it can be run again: the deployment, the operations, and the decisions that are not harmless."""

    setting: Setting
    operations: tuple[Operation, ...]
    decisions: dict[str, int] = field(default_factory=dict)

    def run(self, *, tracing: bool = False) -> tuple[list[Violation], World]:
        world = World(self.setting, list(self.operations), Decisions(0, self.decisions), tracing=tracing)
        return world.run(), world


@dataclass(frozen=True)
class Result:
    """How the history of a seed went; `counts` are those of the books, and `faults` and `steps`."""

    seed: int
    violations: list[Violation]
    counts: Counter[str]


def plan(seed: int) -> tuple[Setting, list[Operation]]:
    """The deployment and the operations of a seed."""
    rng = random.Random(f"plan {seed}")
    setting = Setting(
        renders=rng.choice((1, 1, 2, 3)),
        batch=rng.choice((1, 2, 4)),
        max_attempts=rng.choice((1, 2, 2, 3)),
        max_job_age=rng.choice((86_400, 86_400, 86_400, 900)),
        same_bytes=rng.random() < 0.15,
        faults=rng.choice((0.0, 0.01, 0.03, 0.06, 0.12)),
        heal_at=rng.choice((120.0, 400.0, 900.0)),
    )
    urls = URLS[: rng.choice((1, 1, 2, 3))]
    horizon = rng.choice((1.0, 5.0, 30.0, setting.heal_at))
    operations = [_operation(rng, urls, horizon) for _ in range(rng.randrange(2, 12))]
    operations.sort(key=lambda one: one.at)
    return setting, operations


def _operation(rng: random.Random, urls: tuple[str, ...], horizon: float) -> Operation:
    at, url, chance = round(rng.random() * horizon, 2), rng.choice(urls), rng.random()
    if chance < 0.68:
        return Operation(at, "request", url, rng.choice((0, 5, 3600)), rng.choice(("normal", "normal", "bulk")))
    if chance < 0.80:
        return Operation(at, "bare", url, priority=rng.choice(("normal", "bulk")))
    if chance < 0.93:
        return Operation(at, "delete", url)
    if chance < 0.97:
        return Operation(at, "down", seconds=rng.choice((10, 100, 400, 600)))
    return Operation(at, "jump", seconds=rng.choice((1, 30, 200, 500)))


def run(seed: int) -> Result:
    """Runs the history of a seed."""
    setting, operations = plan(seed)
    world = World(setting, operations, Decisions(seed))
    violations = world.run()
    counts = world.books.counts()
    counts.update(histories=1, requests=len(operations), faults=world.decisions.injected, steps=world.kernel.steps)
    return Result(seed, violations, counts)


def record(seed: int) -> History:
    """The history of a seed with all of its decisions written out."""
    setting, operations = plan(seed)
    world = World(setting, operations, Decisions(seed, record=True))
    world.run()
    return History(setting, tuple(operations), dict(world.decisions.made))


def shrink(history: History, kind: str, tries: int = 1500) -> History:
    """A smaller history with a violation of the same kind: fewer operations, fewer decisions that are not harmless."""
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
        history = _without_decisions(history, fails, lambda: left > 0)
        for name, value in (("faults", 0.0), ("same_bytes", False), ("batch", 1), ("renders", 1), ("max_attempts", 1)):
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
    """A history as a list of steps to read."""
    violations, world = history.run(tracing=True)
    lines = [f"{history.setting}", "asked from outside (seconds):", *(f"  {one}" for one in history.operations)]
    lines += ["decisions that are not harmless:", *(f"  {name} = {code}" for name, code in history.decisions.items())]
    lines += ["steps:", *(world.kernel.trace or [])]
    lines += ["violations:", *(f"  {one.kind}: {one.text}" for one in violations)]
    return "\n".join(lines)
