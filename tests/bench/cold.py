"""Times cold starts of `render` and `api` in Lambda's image, as `sam build` made them, on one CPU and on two.

init           from the start of the container's first process until the runtime asks for an event; Lambda reports
               this as Init Duration. For `render` it includes `inflate` and `launch`, which are timed separately
inflate        Chromium is unpacked from the layer
launch         Chromium starts, until a page answers
first, second  from an event to its answer, for the first event and for a second one

The files are in the machine's page cache. On AWS the first read of a layer is slower.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from tests.sam.container import IMAGE, LAMBDA_LIKE, built_functions, opt_of, python_command, running, unavailable

ROUNDS = 3
RUN_SECONDS = 120.0
CPUS = (1, 2)
PHASES = """
import asyncio, time
from playwright_aws_lambda import Layer, launch_chromium
layer = Layer.here()
began = time.perf_counter(); layer.inflate()
inflated = time.perf_counter()
async def launch():
    chromium = await launch_chromium(layer=layer)
    print(inflated - began, time.perf_counter() - inflated, flush=True)
    await chromium.close()
asyncio.run(launch())
"""


async def _starts(name: str, event: dict[str, Any], cpus: int) -> tuple[float, float, float]:
    """Returns the milliseconds of init, of the first event and of the second."""
    function = built_functions()[name]
    with tempfile.TemporaryDirectory(dir=PROJECT / ".urlshot") as folder:
        flags = (*LAMBDA_LIKE, "--cpus", str(cpus))
        async with running(function, Path(folder), *flags, variables=function.environment) as container:
            took = []
            for _ in range(2):
                began = time.perf_counter()
                answer = await container.invoke(event)
                took.append((time.perf_counter() - began) * 1000)
                if answer.error is not None:
                    raise SystemExit(f"{name} failed: {answer.payload!r}\n" + "\n".join(container.lines))
            return container.init_ms, took[0], took[1]


def _phases(cpus: int) -> tuple[float, float]:
    """Returns the milliseconds of `inflate` and of `launch`, in a process that does nothing else."""
    with tempfile.TemporaryDirectory(dir=PROJECT / ".urlshot") as folder:
        opt = opt_of(built_functions()["RenderFunction"], Path(folder))
        command = python_command(PHASES, *LAMBDA_LIKE, "--cpus", str(cpus), "--volume", f"{opt}:/opt:ro")
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS, check=True)
    inflate, launch = done.stdout.split()
    return float(inflate) * 1000, float(launch) * 1000


def _event(name: str) -> dict[str, Any]:
    given = dict(json.loads((PROJECT / "tests" / "events" / f"{name}.json").read_text("utf-8")))
    # this call needs neither storage nor a queue
    return given | {"resource": "/openapi.json", "path": "/openapi.json"} if name == "api" else given


def cold() -> None:
    """Prints a table of medians."""
    why = unavailable()
    if why is not None:
        raise SystemExit(f"no cold starts: {why}")
    print(f"medians of {ROUNDS}, in ms, in {IMAGE}")
    print(f"{'function':<10}{'CPUs':>5}{'init':>8}{'inflate':>9}{'launch':>8}{'first':>8}{'second':>8}")
    for name in ("render", "api"):
        for cpus in CPUS:
            runs = [asyncio.run(_starts(f"{name.capitalize()}Function", _event(name), cpus)) for _ in range(ROUNDS)]
            init, first, second = (statistics.median(column) for column in zip(*runs, strict=True))
            shown = f"{'':>17}"
            if name == "render":
                phases = [_phases(cpus) for _ in range(ROUNDS)]
                shown = "".join(
                    f"{statistics.median(column):>{width}.0f}"
                    for column, width in zip(zip(*phases, strict=True), (9, 8), strict=True)
                )
            print(f"{name:<10}{cpus:>5}{init:>8.0f}{shown}{first:>8.0f}{second:>8.0f}", flush=True)
