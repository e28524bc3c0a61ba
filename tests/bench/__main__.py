"""`python -m tests.bench PART...` measures the parts and writes docs/bench.json, the documents and the plots.

Parts: warm, cold, throughput, api, cost, end_to_end, handover, scale. Without a part all are measured, in this order.
`container` times cold starts in Lambda's image, and `documents` writes the documents again from docs/bench.json. With
`--quick` a few rounds are made of everything but the parts that run the local stack, and no document is changed.
`--jobs N` sets the largest number of jobs of `end_to_end`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from tests.bench import cost
from tests.bench.api import api
from tests.bench.cold_peers import BESIDE, cold
from tests.bench.cold_peers import TOOLS as COLD_TOOLS
from tests.bench.end_to_end import MOST_JOBS, end_to_end
from tests.bench.figures import line, ratios
from tests.bench.machine import machine, sizes, versions
from tests.bench.pages import PAGES, Page
from tests.bench.parallel import throughput
from tests.bench.report import as_json, write_documents
from tests.bench.site import serving
from tests.bench.tools import LOGS, Failed, tools
from tests.bench.warm import Field, Rounds, warm

JSON = PROJECT / "docs" / "bench.json"
PARTS = ("warm", "cold", "throughput", "api", "cost", "end_to_end", "handover", "scale")
ON_STACK = {"end_to_end", "handover", "scale"}
"""The parts that run the local stack; each is saved when it is measured."""
QUICK_PAGES = ("small", "table", "charts", "fonts", "cjk", "print", "app")
EMPTY: dict[str, Any] = {
    "machine": {}, "versions": {}, "dates": {}, "pages": {}, "tools": {}, "warm": {}, "cold": {}, "throughput": {},
    "api": {}, "cost": {}, "end_to_end": {}, "handover": {}, "scale": {}, "sizes": {},
}  # fmt: skip


def say(text: str) -> None:
    """Prints a line with the time and the machine's load, because other work on the machine changes every figure."""
    print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:4.1f}  {text}", flush=True)


def measure(parts: Sequence[str], results: dict[str, Any], *, quick: bool) -> None:
    """Measures all parts that do not run the local stack, and puts them into the results."""
    pages: Sequence[Page] = [page for page in PAGES if not quick or page.name in QUICK_PAGES]
    if set(parts) & {"warm", "cold", "throughput", "cost"}:
        with serving() as host:
            everything = tools(host)
            with Field(everything, say) as field:
                if "warm" in parts:
                    say(f"warm: {len(pages)} pages, {len(everything)} tools; a round takes about a minute")
                    warm(field, everything, pages, host, say, Rounds(2, 1, 60) if quick else Rounds(7, 3, 600, turns=3))
                    results["warm"] = field.warm
                    results["pages"] = {page.name: {"title": page.title, "late": page.late} for page in pages}
                results["tools"] = field.tools if "warm" in parts or not results["tools"] else results["tools"]
            if "cold" in parts:
                results["cold"] = cold(
                    field, everything, host, say, 1 if quick else 5, COLD_TOOLS if quick else (*COLD_TOOLS, *BESIDE)
                )
            if "throughput" in parts:
                sizes, rounds, seconds = ((1, 2), 1, 2.5) if quick else ((1, 2, 4, 8), 3, 5.0)
                results["throughput"] = throughput(everything, host, say, sizes, rounds, seconds)
            if "cost" in parts:
                counts = cost.Rounds(1, 1) if quick else cost.Rounds(5, 3)
                results["cost"] = cost.cost(everything, pages, host, say, counts) or results["cost"]
    if "api" in parts:
        results["api"] = api(*((20, 1) if quick else (150, 5)), say)
    results["dates"] |= dict.fromkeys([part for part in parts if part not in ON_STACK], _now())


def measure_on_stack(parts: Sequence[str], results: dict[str, Any], jobs: int) -> None:
    """Measures the parts that run the local stack, and saves the results after each and after each number of jobs."""
    if "end_to_end" in parts:
        for found in end_to_end(jobs, say):
            results["end_to_end"] = found
            results["dates"]["end_to_end"] = _now()
            save(results)
    if "handover" in parts:
        from tests.bench.handover import handover

        results["handover"] = handover()
        results["dates"]["handover"] = _now()
        save(results)
    if "scale" in parts:
        from tests.bench.scale import scale

        for found in scale(results, say):
            results["scale"] = found
            results["dates"]["scale"] = _now()
            save(results)


def main(arguments: Sequence[str]) -> None:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, "container", "documents", []])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=MOST_JOBS)
    asked = parser.parse_args(arguments)
    chosen, quick = list(asked.parts), bool(asked.quick)
    if chosen == ["container"]:
        from tests.bench.cold import cold as container

        container()
        return
    known: dict[str, Any] = json.loads(JSON.read_text("utf-8")) if JSON.exists() and not quick else {}
    if chosen == ["documents"]:
        write_documents(EMPTY | known)
        return
    parts = chosen or [part for part in PARTS if not (quick and part in ON_STACK)]
    here = machine()
    try:
        results = EMPTY | {"machine": here} | kept(known, here, parts)
    except OtherMachine as error:
        sys.exit(str(error))
    began = time.monotonic()
    if set(parts) - ON_STACK:
        results |= {"machine": here, "versions": versions(), "sizes": sizes() or results["sizes"]}
        try:
            measure(parts, results, quick=quick)
        except Failed as error:
            sys.exit(f"{error}; the logs of the tools are in {LOGS.relative_to(PROJECT)}")
        say(f"measured in {time.monotonic() - began:.0f} s")
        if not quick:
            save(results)  # before the parts that run the local stack, which take another ten minutes each
    if quick:
        place = PROJECT / ".urlshot" / "bench" / "quick.json"
        place.write_text(as_json(results), "utf-8")
    else:
        measure_on_stack(parts, results, asked.jobs)
    print(line(ratios(results)), flush=True)


class OtherMachine(Exception):
    """Reports that figures of two machines would stand in one document; the text says what to do."""


def kept(known: dict[str, Any], here: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Returns the earlier results that stay beside new ones, which must be from the same machine.

    Args:
        known: The earlier results.
        here: This machine.
        parts: The parts that are measured now. If these are all parts, results of another machine are dropped.

    Raises:
        OtherMachine: Some of the earlier results would stay, and they are from another machine.
    """
    names = ("cpu", "cpus", "memory_gb")
    before = [known.get("machine", {}).get(name) for name in names]
    if not any(before) or before == [here[name] for name in names]:
        return known
    if set(parts) == set(PARTS):
        return {}
    raise OtherMachine(
        f"The figures in {JSON.relative_to(PROJECT)} are from another machine: {before[0]}, {before[1]} CPUs, "
        f"{before[2]:g} GB. Measure all parts here with `make bench`, or use QUICK=1, which changes no file."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="minutes")


def save(results: dict[str, Any]) -> None:
    """Writes the figures and the documents."""
    results["line"] = ratios(results)
    JSON.write_text(as_json(results), "utf-8")
    write_documents(results)
    say(f"wrote {Path(JSON).relative_to(PROJECT)}, docs/bench.md and the plots")


if __name__ == "__main__":
    main(sys.argv[1:])
