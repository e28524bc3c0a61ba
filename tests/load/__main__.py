"""`make load` sends new URLs and many repeats through the whole local stack, and fails if a job is lost or doubled.

It writes a section of docs/load.md, unless it is a short run. The books are those of `make faults`.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.armory import Armory
from tests.faults.audit import shown
from tests.load import broker, soak
from tests.load.document import FILE, write_section
from tests.load.report import compared, plot, report
from tests.load.run import Result, measure, say

JOBS = 1000


def said(result: Result, seed: int) -> bool:
    """Prints the outcome of a run, and returns whether the books are right."""
    if result.left:
        say(f"{len(result.left)} things have not ended: {'; '.join(result.left[:10])}")
    if result.violations:
        print(shown(result.violations, Armory()))
    print(f"seed={seed}")
    print(result.final, flush=True)
    return not result.violations


def write(result: Result, short: bool) -> None:
    """Writes the section about a run into the document, with `short` also about a short run."""
    if short or result.jobs >= JOBS:
        write_section("Requests", report(result))
        FILE.with_suffix(".svg").write_text(plot(result), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make load")
    parser.add_argument("--jobs", type=int, default=JOBS, help="different URLs; each is requested ten times on average")
    parser.add_argument("--times", type=int, default=0, help="then send so many times as many through another stack")
    parser.add_argument("--soak", type=float, default=0, help="send evenly for so many minutes; nothing may grow")
    parser.add_argument("--broker", action="store_true", help="measure the broker alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the document also after a short run")
    asked = parser.parse_args()
    if asked.soak:
        return soak.soak(asked.soak, asked.seed, write=asked.write or asked.soak >= soak.MINUTES)
    if asked.broker:
        return broker.benchmark(asked.seed)
    result = measure(asked.jobs, asked.seed)
    print(report(result))
    right = said(result, asked.seed)
    write(result, asked.write)
    if asked.times:
        more = measure(asked.jobs * asked.times, asked.seed)
        print(report(more))
        print(compared(result, more))
        right = said(more, asked.seed) and right
        write(more, asked.write)
        write_section("Cost of a job", compared(result, more))
        FILE.with_name("load-times.svg").write_text(plot(more), "utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
