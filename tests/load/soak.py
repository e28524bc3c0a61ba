"""A soak: even load for some minutes, in which nothing may grow."""

from __future__ import annotations

import random
import threading
import time

from infra.local.settings import PROJECT
from tests.bench.local import running
from tests.faults.armory import Armory
from tests.faults.audit import Audit, final_line, shown
from tests.faults.books import Books
from tests.faults.load import Load
from tests.faults.stand import Running
from tests.faults.witnesses import BusWitness, QueueWitness
from tests.load.document import bullets, table, write_section
from tests.load.growth import STORES, Growth, growths, sample
from tests.load.run import END_SECONDS, MAX_ATTEMPTS, PARAMETERS, note_records, say
from tests.load.site import LoadSite
from tests.simulation.books import Violation

NEW_A_SECOND = 0.5
"""New pages a second: about a quarter of what the machine can render."""
REPEATS = 4
MINUTES = 20
SAMPLES = 120
SENDERS = 4
MISSING = 0.02


def soak(minutes: float, seed: int, write: bool) -> int:
    """Runs the soak, and returns the exit status.

    Args:
        minutes: How long requests are sent.
        seed: Decides what is drawn.
        write: Whether the section of the document is written.
    """
    site, books = LoadSite(), Books()
    samples: list[dict[str, float]] = []
    with running(PROJECT, site, **PARAMETERS) as stack:
        base = Running(stack.ready)
        bus, queue = BusWitness(base, books), QueueWitness(base, books)
        load = Load(base, books, site.host, "", seed)
        say(f"the stack is up; {NEW_A_SECOND * 60:g} new pages a minute for {minutes:g} minutes")
        until = time.monotonic() + minutes * 60
        senders = [
            threading.Thread(target=_send, args=(load, site, n, until, seed), daemon=True) for n in range(SENDERS)
        ]
        for thread in senders:
            thread.start()
        said = time.monotonic()
        while time.monotonic() < until:
            samples.append(sample(stack))
            if time.monotonic() - said > 60:
                said = time.monotonic()
                say(f"{load.sent} requests sent, {(until - said) / 60:.0f} minutes left")
            time.sleep(minutes * 60 / SAMPLES)
        for thread in senders:
            thread.join(END_SECONDS)
        found = growths(samples)
        while note_records(base, books) and time.monotonic() < until + END_SECONDS:
            time.sleep(1)
        audit = Audit(base, books, MAX_ATTEMPTS)
        audit.wait(END_SECONDS, say)
        violations, ambiguous = audit.check(Armory())
        bus.close()
        queue.close()
    site.close()
    for one in found:
        print(f"{one.name}: {one.before:.1f} -> {one.after:.1f}{' GREW' if one.grew else ''}")
    violations += [Violation("growth", f"{one.name}: {one.before:.1f} to {one.after:.1f}") for one in found if one.grew]
    line = final_line(books, [one for one in violations if one.kind != "growth"], ambiguous)
    if write:
        write_section("Soak", report(minutes, load.sent, found, line))
    if violations:
        print(shown(violations, Armory()))
    print(f"seed={seed}")
    print(f"{line} grown={sum(one.grew for one in found)}", flush=True)
    return 1 if violations else 0


def _send(load: Load, site: LoadSite, sender: int, until: float, seed: int) -> None:
    """Sends new pages at an even rate, each followed by repeats of earlier ones."""
    drawn = random.Random(f"{seed}-{sender}")
    urls: list[str] = []
    pause = SENDERS / NEW_A_SECOND
    due = time.monotonic() + pause * sender / SENDERS
    while (now := time.monotonic()) < until:
        if now < due:
            time.sleep(min(due, until) - now)
            continue
        due += pause
        kind = "missing" if drawn.random() < MISSING else "page"
        urls.append(f"http://{site.host}/{kind}/{sender}-{len(urls)}")
        load.post(urls[-1])
        for _ in range(REPEATS):
            load.post(drawn.choice(urls))


def report(minutes: float, sent: int, found: list[Growth], line: str) -> str:
    """Returns the section of a soak."""
    lines = [
        f"{minutes:g} minutes, {sent:,} requests, {NEW_A_SECOND:g} new pages a second and {REPEATS} repeats of each",
        "The first third of the run is the start-up. The table has the medians of the second and of the last third; MB,"
        " files and processes are those of one instance of a function",
        f"{' and '.join(STORES)} is not judged, because the AWS stand-in keeps the bucket in memory",
        f"`{line} grown={sum(one.grew for one in found)}`",
    ]
    rows = [[one.name, f"{one.before:.1f}", f"{one.after:.1f}", "yes" if one.grew else "no"] for one in found]
    return "\n".join([*bullets(lines), "", *table(["", "second third", "last third", "grew"], rows)])
