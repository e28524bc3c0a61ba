"""`make faults` breaks the local stack at every stage of a job's life, and fails if a job is lost or doubled."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import certificate
from tests.faults.armory import Armory
from tests.faults.audit import Audit, final_line, shown
from tests.faults.books import Books
from tests.faults.cases import ALONE, Case, in_order, pairwise, whole_product
from tests.faults.load import Background, Load
from tests.faults.pages import FaultyPages
from tests.faults.project import LEASE, faults_project
from tests.faults.runner import Runner, heal
from tests.faults.small_disk import own_mounts
from tests.faults.stand import Stand, running_stand
from tests.faults.witnesses import BusWitness, CallbackWitness, QueueWitness

MINUTES = 30
JOBS = 2000
"""How many requests and messages a run of the default length sends at least."""
RATE = 2.5
MOST_OPEN = 40
PROGRESS_SECONDS = 15.0
LANES = 4
"""How many cases run at the same time, at different stages."""
MAX_ATTEMPTS = 3
HEAL_SECONDS = (MAX_ATTEMPTS + 3) * LEASE
"""The longest wait for the ends of all jobs: each attempt may cost a lease, and so may a lost announcement."""
PARAMETERS = {"Renders": 6, "MaxAttempts": MAX_ATTEMPTS, "RetryDelays": "1,2", "RequireApiKey": "true"}


def say(text: str) -> None:
    """Prints a line with the time and the machine's load."""
    print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:4.1f}  {text}", flush=True)


@dataclass
class Lanes:
    """Runs cases side by side; those that hit everything run alone."""

    runner: Runner
    cases: list[Case]
    until: float
    jobs: int = 0
    """How many requests and messages must be sent before the cases end, also if the time is over."""
    ran: int = 0
    missed: list[Case] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _running: list[Case] = field(default_factory=list)

    def run(self) -> None:
        threads = [threading.Thread(target=self._lane, daemon=True) for _ in range(LANES)]
        for thread in threads:
            thread.start()
        ended = threading.Event()
        threading.Thread(target=lambda: ([one.join() for one in threads], ended.set()), daemon=True).start()
        while not ended.wait(PROGRESS_SECONDS):
            load = self.runner.load
            say(
                f"{self.ran} cases ran, {len(self.missed)} of them hit nothing, {len(self.cases)} are left;"
                f" {load.sent} sent, {load.books.counts()['accepted']} accepted, {load.books.open_jobs()} open"
            )

    def _lane(self) -> None:
        while (case := self._next()) is not None:
            try:
                hit = self.runner.run(case)
            except Exception as error:  # noqa: BLE001 - a case that cannot run does not end the others
                say(f"{case} did not run: {error!r}")
                hit = False
            with self._changed:
                self._running.remove(case)
                self.ran += 1
                if not hit:
                    self.missed.append(case)
                self._changed.notify_all()

    def _next(self) -> Case | None:
        """Waits for a case that may run beside those that run; None at the end."""
        with self._changed:
            while self.cases and (time.monotonic() < self.until or self.runner.load.sent < self.jobs):
                if self.runner.load.books.open_jobs() > 2 * MOST_OPEN:
                    self._changed.wait(1)
                    continue
                alone = any(case.stage in ALONE for case in self._running)
                busy = {case.stage for case in self._running} - {"page", "message"}
                for case in self.cases[:20]:
                    if case.stage in ALONE and self._running and self.cases.index(case) == 0:
                        break  # the first case waits until it is alone, or it would never be
                    if alone or case.stage in busy or (case.stage in ALONE and self._running):
                        continue
                    self.cases.remove(case)
                    self._running.append(case)
                    return case
                self._changed.wait(1)
            return None


@contextmanager
def everything(project: Path, armory: Armory, books: Books, seed: int) -> Iterator[tuple[Stand, Runner, Load]]:
    """Starts the stack with all that sends, serves and receives."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        pem = certificate(folder, "localhost")
        runners: list[Runner] = []
        hooks = CallbackWitness(pem, books, lambda port: runners[0].find(port))
        exits.callback(hooks.close)
        pages = FaultyPages(lambda fault, port: runners[0].hurt(fault, port))
        exits.callback(pages.close)
        allow = [pages.host, hooks.host, hooks.url.removeprefix("https://")]
        stand = exits.enter_context(running_stand(project, armory, books, allow=allow, ca=pem, parameters=PARAMETERS))
        bus = BusWitness(stand, books)
        exits.callback(bus.close)
        queue = QueueWitness(stand, books)
        exits.callback(queue.close)
        load = Load(stand, books, pages.host, hooks.url, seed)
        runners.append(Runner(stand, armory, load, queue, pages.host, seed))
        yield stand, runners[0], load


def warm(load: Load) -> None:
    """Sends a real page to each instance of `render`, which starts its browser, and waits for the ends."""
    for kind in (*("real",) * int(str(PARAMETERS["Renders"])), "single", "bulk", "bare", "callback"):
        load.send(kind)
    until = time.monotonic() + HEAL_SECONDS
    while load.books.open_jobs() and time.monotonic() < until:
        time.sleep(0.5)
    say("the browsers are started")


def run(seed: int, seconds: float, cases: list[Case], jobs: int) -> int:
    """Runs the cases until the time is over, and returns the exit status.

    Args:
        seed: Decides what is drawn.
        seconds: The time for the cases; starting, healing and checking come on top.
        cases: The cases in their order.
        jobs: How many requests and messages are sent at least.
    """
    armory, books, total = Armory(), Books(), len(cases)
    with faults_project() as project, everything(project, armory, books, seed) as (stand, runner, load):
        say(f"the stack is up; seed {seed}, {total} cases, a lease of {LEASE} s")
        if not stand.disk.mounted:
            say(f"no disk is made full, because no file system can be mounted here: {stand.disk.reason}")
        warm(load)
        background = Background(load, RATE, MOST_OPEN)
        lanes = Lanes(runner, cases, time.monotonic() + seconds, jobs)
        lanes.run()
        while load.sent < jobs:
            time.sleep(1)
        background.close()
        heal(stand)
        say(f"{lanes.ran} of {total} cases ran; everything is healed, and {load.sent} requests and messages are sent")
        audit = Audit(stand, books, MAX_ATTEMPTS)
        left = audit.wait(HEAL_SECONDS, say)
        if left:
            say(f"{len(left)} things have not ended: {'; '.join(left[:10])}")
        violations, ambiguous = audit.check(armory)
        say("answers: " + ", ".join(f"{what} {count}" for what, count in sorted(books.answers.items())))
        hits = Counter(f"{one.stage}: {one.fault}" for one in armory.injected)
        say(f"{len(armory.injected)} faults of {len(hits)} kinds were injected")
        if lanes.missed:
            say("cases that hit nothing: " + "; ".join(map(str, lanes.missed[:40])))
        if violations:
            print(shown(violations, armory), flush=True)
            print(Path(stand.ready["output"]).read_text()[-5000:], flush=True)
    print(f"seed={seed}")
    print(final_line(books, violations, ambiguous), flush=True)
    return 1 if violations else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=0, help="time for the cases; default: 25 minutes")
    parser.add_argument("--full", action="store_true", help="the whole product of the cases, in any time")
    parser.add_argument("--only", default="", help="run only cases whose text contains this")
    asked = parser.parse_args()
    own_mounts()
    cases = whole_product() if asked.full else pairwise(whole_product(), asked.seed)
    cases = [case for case in in_order(cases, asked.seed) if asked.only in str(case)]
    default = float("inf") if asked.full else (MINUTES - 5) * 60.0
    return run(asked.seed, asked.seconds or default, cases, 0 if asked.seconds or asked.only else JOBS)


if __name__ == "__main__":
    sys.exit(main())
