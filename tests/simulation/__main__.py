"""`make simulate` runs histories on all cores, and fails if anything was lost or doubled."""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.simulation import history
from tests.simulation.books import Violation
from tests.simulation.history import LARGE, SMALL, Size
from tests.simulation.install import collecting, installed

CHUNK = 100
SHOWN = 3
"""The number of failed histories that are shrunk and printed."""
PROGRESS_SECONDS = 10
PRINTED = (
    "histories", "full", "requests", "faults", "accepted", "done", "failed", "gone", "lost", "doubled", "ambiguous",
    "unrestorable",
)  # fmt: skip


def run_chunk(first: int, size: Size = LARGE) -> tuple[Counter[str], list[tuple[int, list[Violation]]]]:
    """Runs CHUNK histories from the seed `first` on; returns their counts, and the seeds with violations."""
    counts: Counter[str] = Counter()
    wrong = []
    with installed():
        for seed in range(first, first + CHUNK):
            result = history.run(seed, size)
            counts.update(result.counts)
            if result.violations:
                wrong.append((seed, result.violations))
                kinds = ", ".join(sorted({one.kind for one in result.violations}))
                print(f"WRONG: seed {seed}: {kinds}: {result.violations[0].text}", flush=True)
    gc.collect()
    return counts, wrong


def chunks(first: int, histories: int, until: float) -> Iterator[int]:
    """Yields the first seed of each chunk until there are enough histories or the time `until` is reached."""
    for start in itertools.count(first, CHUNK):
        if (histories and start - first >= histories) or (until and time.monotonic() >= until):
            return
        yield start


def show(seed: int, size: Size, violations: list[Violation]) -> None:
    """Prints the shortest history that has the first violation of a seed."""
    print(f"\n==== seed {seed}: {violations[0].kind}: {violations[0].text}; the shortest history with it:")
    with installed():
        print(history.story(history.shrink(history.record(seed, size), violations[0].kind)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--histories", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="run the small histories of `make test`")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    began = time.monotonic()
    histories = asked.histories or (0 if asked.seconds else 20_000)
    starts = chunks(asked.seed, histories, began + asked.seconds if asked.seconds else 0)
    cores, size = asked.cores, SMALL if asked.small else LARGE
    total: Counter[str] = Counter()
    wrong: list[tuple[int, list[Violation]]] = []
    said = began
    with collecting(), multiprocessing.get_context("fork").Pool(cores, maxtasksperchild=200) as workers:
        # At most one chunk for each core runs, so that the run can end soon after its time is over.
        under_way = [workers.apply_async(run_chunk, (start, size)) for start in itertools.islice(starts, cores)]
        while under_way:
            counts, found = under_way.pop(0).get()
            under_way += [workers.apply_async(run_chunk, (start, size)) for start in itertools.islice(starts, 1)]
            total.update(counts)
            wrong += found
            if time.monotonic() - said >= PROGRESS_SECONDS:
                said = time.monotonic()
                rate = total["histories"] / (said - began)
                print(f"{total['histories']:,} histories, {rate:.0f} a second, {len(wrong)} wrong", flush=True)
    for seed, violations in wrong[:SHOWN]:
        show(seed, size, violations)
    seconds = time.monotonic() - began
    each = {name: f"{total[name] / total['histories']:.1f}" for name in ("requests", "faults", "calls")}
    print(
        f"\nseeds {asked.seed} to {asked.seed + total['histories'] - 1}, {seconds:.0f} s, "
        f"{total['histories'] / seconds:.0f} histories a second; a history on average: {each['requests']} requests, "
        f"{each['faults']} faults ({each['calls']} of them at calls); {total['full']} histories have at least "
        f"{size.requests} requests and {size.faults} faults"
    )
    if wrong:
        print("wrong seeds:", *(seed for seed, _ in wrong[:50]))
    print(" ".join(f"{name}={total[name]}" for name in PRINTED))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
