"""Times urlshot's renderer beside a bare Playwright, with the same Chromium, in turns. It ends within a minute.

The bare Playwright makes a context, goes to the page, prints it and closes the context. The times are those of a warm
process, from the job to the PDF. A pause between two jobs lets urlshot's renderer prepare its next page, as it does on
Lambda. The rates are those of several processes in parallel, which print without pauses. With more processes than
processors, they show what the machine can do.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from playwright_aws_lambda import Chromium, launch_chromium
from tests.gallery.studio import LAYER, Studio, open_studio

PAGES = ("headings", "long-table", "many-images", "single-page-app")
ROUNDS = 5
PAUSE = 0.25
"""Seconds between two jobs."""
RATE_SECONDS = 3.0
SIDE_BY_SIDE = (1, 2, 4)
BEGIN_SECONDS = 45.0
"""Seconds after which no further rate is measured, so that a busy machine ends within a minute too."""


class Bare:
    """A bare Playwright, as most people use it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._chromium: Chromium = self._run(launch_chromium(layer=LAYER))

    def print(self, url: str) -> None:
        """Prints a page to a PDF."""
        self._run(self._print(url))

    def close(self) -> None:
        """Closes the browser."""
        self._run(self._chromium.close())

    async def _print(self, url: str) -> None:
        context = await self._chromium.new_context()
        page = await context.new_page()
        await page.goto(url)
        await page.pdf(format="A4", print_background=True)
        await context.close()

    def _run(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


def milliseconds(job: Callable[[], object]) -> float:
    """Returns the milliseconds that a job takes, after a pause in which the work of the job before it ends."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    job()
    return (time.perf_counter() - began) * 1000


def compare() -> None:
    """Prints a table of medians.

    The ratio compares equal work: both print at the load event. The column `settled` shows the default, which waits
    until the page settles; a bare Playwright does not wait, and its PDF may lack content.
    """
    print(f"{'page':<18}{'settled':>9}{'load':>9}{'bare':>9}{'ratio':>8}   medians of {ROUNDS}, in ms; load / bare")
    with open_studio() as studio:
        bare = Bare()
        for page in PAGES:
            jobs = {
                "settled": partial(_ours, studio, page, "settled"),
                "load": partial(_ours, studio, page, "load"),
                "bare": partial(bare.print, studio.url(page)),
            }
            took: dict[str, list[float]] = {name: [] for name in jobs}
            for turn in range(ROUNDS + 1):
                for name, job in jobs.items():
                    one = milliseconds(job)
                    if turn:  # the first turn warms up
                        took[name].append(one)
            settled, load, other = (statistics.median(took[name]) for name in jobs)
            print(f"{page:<18}{settled:>9.0f}{load:>9.0f}{other:>9.0f}{load / other:>8.2f}", flush=True)
        bare.close()


def count(page: str, barrier: float) -> int:
    """Returns how many PDFs of a page one process makes in RATE_SECONDS.

    Args:
        page: The name of the page.
        barrier: The time at which all processes start, in seconds since the epoch.
    """
    with open_studio() as studio:
        studio.render(page)
        time.sleep(max(0.0, barrier - time.time()))
        end, done = time.monotonic() + RATE_SECONDS, 0
        while time.monotonic() < end:
            done += studio.render(page).pdf is not None
        return done


def rate(page: str, processes: int) -> None:
    """Prints how many PDFs per second several processes make in parallel."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        barrier = time.time() + 2.0 + processes
        done = sum(pool.map(count, [page] * processes, [barrier] * processes))
    print(f"{page}: {done / RATE_SECONDS:.1f} PDFs/s with {processes} in parallel", flush=True)


def _ours(studio: Studio, page: str, wait_until: str) -> None:
    if studio.render(page, {"wait_until": wait_until}).pdf is None:
        raise SystemExit(f"{page} was not rendered")


def main() -> None:
    """Prints the comparison and then the rates."""
    began = time.monotonic()
    compare()
    for processes in SIDE_BY_SIDE:
        if time.monotonic() - began < BEGIN_SECONDS:
            rate(PAGES[0], processes)
