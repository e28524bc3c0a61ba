"""What the measurements say: medians, ratios, and the line at the end of a run.

The results have the form of `docs/bench.json`; times are in milliseconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

OURS, SETTLED, FLOOR = "load", "settled", "floor"
COLD_PEERS = ("puppeteer",)
"""The peers of the cold start; the other tools of that table start from urlshot's layer."""
SKIPPED = "skipped"
NAMES = (
    "warm_over_floor",
    "warm_over_best_peer",
    "settled_over_floor",
    "cold_over_best_peer",
    "throughput_over_floor",
    "api_hit_over_floor",
    "api_miss_over_floor",
    "behind_slow",
)
"""The ratios of the line, in its order."""
Results = dict[str, Any]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the lower quartile, the median and the upper quartile of at least one value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def warm_ms(results: Results, page: str, tool: str, *, complete: bool = False) -> float | None:
    """Returns the median of a tool on a page; None if it has none, or its PDF is not complete and must be."""
    cell = results["warm"].get(page, {}).get(tool)
    if cell is None or not cell["ms"] or (complete and cell["lacks"]):
        return None
    return float(statistics.median(cell["ms"]))


def peers(results: Results) -> list[str]:
    """Returns the names of the tools that stand for what a user would take in place of urlshot."""
    return [name for name, tool in results["tools"].items() if tool["peer"]]


def best_peer(results: Results, page: str) -> tuple[str, float] | None:
    """Returns the fastest peer whose PDF of a page is complete, with its median; None if there is none."""
    found = [
        (took, name) for name in peers(results) if (took := warm_ms(results, page, name, complete=True)) is not None
    ]
    return (min(found)[1], min(found)[0]) if found else None


def ours_complete(results: Results, page: str) -> float | None:
    """Returns the median with which urlshot prints a page completely: printed at load, or else settled."""
    at_load = warm_ms(results, page, OURS, complete=True)
    return at_load if at_load is not None else warm_ms(results, page, SETTLED, complete=True)


def warm_over_floor(results: Results) -> float | None:
    """Returns our sum over all pages divided by the floor's. Both print at the load event."""
    return _sums((warm_ms(results, page, OURS), warm_ms(results, page, FLOOR)) for page in results["warm"])


def settled_over_floor(results: Results) -> float | None:
    """Returns the same for `settled`, on the pages that are done at the load event."""
    done = [page for page in results["warm"] if not results["pages"][page]["late"]]
    return _sums((warm_ms(results, page, SETTLED), warm_ms(results, page, FLOOR)) for page in done)


def warm_over_best_peer(results: Results) -> float | None:
    """Returns our sum divided by that of the best peer of each page.

    Only complete PDFs count. A page that no peer prints completely is left out.
    """
    pairs = []
    for page in results["warm"]:
        best = best_peer(results, page)
        pairs.append((ours_complete(results, page), best[1] if best else None))
    return _sums(pairs)


def cold_over_best_peer(results: Results) -> float | None:
    """Returns our median divided by that of the fastest peer; the worse one of those with one and with two CPUs."""
    found = []
    for runs in results["cold"].values():
        medians = {name: statistics.median(run["ms"]) for name, run in runs.items() if run["ms"]}
        others = [took for name, took in medians.items() if name in COLD_PEERS]
        if SETTLED in medians and others:
            found.append(medians[SETTLED] / min(others))
    return max(found) if found else None


def throughput_over_floor(results: Results) -> float | None:
    """Returns our sum of PDFs per second, over all numbers of jobs side by side, divided by the floor's."""
    sizes = results["throughput"].values()
    return _sums(
        tuple(statistics.median(size[name]["per_second"]) if name in size else None for name in (OURS, FLOOR))
        for size in sizes
    )


def api_over_floor(results: Results, kind: str) -> float | None:
    """Returns the median of `api` divided by that of its bare calls; `kind` is `hit` or `miss`."""
    found = results["api"].get(kind)
    return statistics.median(found["api"]) / statistics.median(found["floor"]) if found else None


def ratios(results: Results) -> dict[str, float | None]:
    """Returns all ratios of the line; None for one that was not measured."""
    return {
        "warm_over_floor": warm_over_floor(results),
        "warm_over_best_peer": warm_over_best_peer(results),
        "settled_over_floor": settled_over_floor(results),
        "cold_over_best_peer": cold_over_best_peer(results),
        "throughput_over_floor": throughput_over_floor(results),
        "api_hit_over_floor": api_over_floor(results, "hit"),
        "api_miss_over_floor": api_over_floor(results, "miss"),
        "behind_slow": results["handover"].get("behind_slow"),
    }


def line(found: dict[str, float | None]) -> str:
    """Returns the ratios as one line: `name=1.05`, or `name=skipped`."""
    return " ".join(f"{name}={SKIPPED if found[name] is None else f'{found[name]:.2f}'}" for name in NAMES)


def _sums(pairs: Iterable[Sequence[float | None]]) -> float | None:
    """Returns the sum of the first values divided by that of the second, over the pairs that have both."""
    whole = [(one, other) for one, other in pairs if one is not None and other is not None]
    return sum(one for one, _ in whole) / sum(other for _, other in whole) if whole else None
