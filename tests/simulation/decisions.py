"""Makes every random decision of a history, so that the history can be replayed and shrunk."""

from __future__ import annotations

import random

STEP = 0.01
"""The latency for decision 0, in seconds."""
CALM = 80
"""The latency's limit when everything has healed, in milliseconds."""
LEAST = 0.15
"""The least probability of a fault while a history has too few of them."""
WEAK, SLOW = 0.3, 0.25
"""The probabilities that a call of a weak function fails, and that a call of a slow one takes 1 to 35 s."""


class Decisions:
    """Draws the decisions of a history from a seed, or replays given ones.

    Each decision is a number, and 0 is the harmless one: no fault, a short latency, the usual outcome. The name of a
    decision holds its process and its position in that process, so that the removal of one process from a history
    does not change the decisions of the others.
    """

    def __init__(self, seed: int, given: dict[str, int] | None = None, *, record: bool = False) -> None:
        self._random = random.Random(seed).random
        self.given = given
        self.made: dict[str, int] = {}
        self._record = record
        self._places: dict[str, int] = {}
        self.faults = 0.0
        """The probability of a fault at one call."""
        self.freezes = 0.0
        self.weak = self.slow = ""
        """The functions whose calls often fail, and take as long as if they were frozen; empty for none."""
        self.calm = False
        self.least = 0
        """The number of faults until which a fault has at least the probability `LEAST`, after the first calls."""
        self.quiet = 0
        """The number of these first calls."""
        self.injected = 0
        """The number of faults at calls."""
        self.disturbed = 0
        """The number of other faults: functions that freeze, crash or run twice, and events that come twice or late."""

    def latency(self, name: str) -> float:
        """Returns the seconds that a call takes: mostly milliseconds, sometimes seconds, rarely minutes."""
        if self.given is None:
            draw = self._random
            chance = draw()
            if self.calm:
                code = int(chance * CALM)
            elif (freezes := self._freezes(name) if self.slow else self.freezes) and draw() < freezes:
                code = int(1000 + chance * 34_000)
                self.disturbed += 1
            elif chance < 0.85:
                code = int(chance * 80)
            elif chance < 0.99:
                code = int(draw() * 1500)
            else:
                code = int(draw() * 60_000) if draw() < 0.8 else int(draw() * 400_000)
            if self._record:
                self._note(f"{name}/latency", code)
        else:
            code = self._take(f"{name}/latency")
            if self.calm:  # a shorter history may take a decision later than the one that it was recorded from
                code = min(code, CALM)
        return code / 1000 if code else STEP

    def _freezes(self, name: str) -> float:
        """Returns the probability that the next call of a process takes as long as if the function were frozen."""
        return SLOW if name.startswith(self.slow) else self.freezes

    def _fails(self, name: str) -> float:
        """Returns the probability that the next call of a process fails."""
        chance = WEAK if self.weak and name.startswith(self.weak) else self.faults
        if self.injected + self.disturbed < self.least and chance < LEAST:
            self.quiet -= 1
            if self.quiet < 0:
                return LEAST
        return chance

    def fault(self, name: str, kinds: tuple[str, ...]) -> str:
        """Returns one of `kinds`, or an empty string for no fault."""
        if self.given is None:
            code = 0
            if self._random() < self._fails(name):
                code = 1 + int(self._random() * len(kinds))
                self.injected += 1
            if self._record:
                self._note(f"{name}/fault", code)
        else:
            code = 0 if self.calm else self._take(f"{name}/fault")
            self.injected += code > 0
        return kinds[code - 1] if 0 < code <= len(kinds) else ""

    def choose(self, name: str, weights: tuple[float, ...], harmless: int = 0) -> int:
        """Returns the index of an outcome; `weights` are the probabilities from index 1 on, and 0 has the rest.

        An index above `harmless` counts as a fault.
        """
        if self.given is not None:
            return 0 if self.calm else self._take(name)
        code, chance = 0, self._random()
        if not self.calm:
            for index, weight in enumerate(weights, 1):
                if chance < weight:
                    code = index
                    break
                chance -= weight
        self.disturbed += code > harmless
        if self._record:
            self._note(name, code)
        return code

    def between(self, name: str, most: int) -> int:
        """Returns a whole number from 0 to `most`."""
        if self.given is not None:
            return self._take(name)
        code = int(self._random() * (most + 1))
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
