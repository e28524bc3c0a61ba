"""Every random decision of a history, in one place, so that it can be replayed and shrunk."""

from __future__ import annotations

import random

STEP = 0.01
"""Seconds of the latency that decision 0 stands for."""


class Decisions:
    """Draws the decisions of a history from a seed, or repeats given ones.

    Each decision is a number, and 0 is the harmless one: no fault, a short latency, the usual outcome. A decision is
    known by its process and its place in that process, so that taking one process out of a history leaves the decisions
    of the others as they are.
    """

    def __init__(self, seed: int, given: dict[str, int] | None = None, *, record: bool = False) -> None:
        self.rng = random.Random(seed)
        self.given = given
        self.made: dict[str, int] = {}
        self._record = record
        self._places: dict[str, int] = {}
        self.faults = 0.0
        """Chance of a fault at one call; 0 heals everything."""
        self.freezes = 0.0
        self.calm = False
        self.injected = 0

    def latency(self, name: str) -> float:
        """Seconds that a call takes: mostly milliseconds, sometimes seconds, rarely minutes."""
        if self.given is None:
            chance = self.rng.random()
            if self.calm:
                code = int(chance * 80)
            elif self.freezes and self.rng.random() < self.freezes:
                code = int(1000 + chance * 34_000)
            elif chance < 0.85:
                code = int(chance * 80)
            elif chance < 0.99:
                code = int(self.rng.random() * 1500)
            else:
                code = int(self.rng.random() * 60_000) if self.rng.random() < 0.8 else int(self.rng.random() * 400_000)
            if self._record:
                self._note(f"{name}/latency", code)
        else:
            code = self._take(f"{name}/latency")
        return code / 1000 if code else STEP

    def fault(self, name: str, kinds: tuple[str, ...]) -> str:
        """One of `kinds`, or '' for none."""
        if self.given is None:
            code = 0
            if self.faults and self.rng.random() < self.faults:
                code = 1 + int(self.rng.random() * len(kinds))
                self.injected += 1
            if self._record:
                self._note(f"{name}/fault", code)
        else:
            code = self._take(f"{name}/fault")
            self.injected += code > 0
        return kinds[code - 1] if 0 < code <= len(kinds) else ""

    def choose(self, name: str, weights: tuple[float, ...]) -> int:
        """The index of an outcome; `weights` are those of the outcomes from 1 on, the rest is for 0."""
        if self.given is not None:
            return self._take(name)
        code, chance = 0, self.rng.random()
        if not self.calm:
            for index, weight in enumerate(weights, 1):
                if chance < weight:
                    code = index
                    break
                chance -= weight
        if self._record:
            self._note(name, code)
        return code

    def between(self, name: str, most: int) -> int:
        """A whole number from 0 to `most`."""
        if self.given is not None:
            return self._take(name)
        code = int(self.rng.random() * (most + 1))
        if self._record:
            self._note(name, code)
        return code

    def _place(self, name: str) -> str:
        place = self._places.get(name, 0)
        self._places[name] = place + 1
        return f"{name}/{place}"

    def _note(self, name: str, code: int) -> None:
        place = self._place(name)
        if code:
            self.made[place] = code

    def _take(self, name: str) -> int:
        assert self.given is not None
        place = self._place(name)
        code = self.given.get(place, 0)
        if code:
            self.made[place] = code
        return code
