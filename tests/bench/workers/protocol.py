"""The conversation of a worker with the benchmark: JSON lines on stdin and stdout. `node.mjs` speaks it too.

    worker:  {"ready": seconds, "marks": {name: seconds}, "versions": {name: version}}
    bench:   {"url", "wait", "file"}        worker:  {"ms", "at", "error"?, ...}     prints a page into a file
    bench:   {"loop": [url, ...], "until"}  worker:  {"done", "seconds", "error"?}   prints pages in turn until a time

Points in time are seconds of CLOCK_MONOTONIC, which all processes share. `ms` is the time from the job to the PDF in
the worker's memory; what a tool does after that, such as closing the page, is done before the next job and not timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol


class Printer(Protocol):
    """A tool that is ready to print."""

    versions: dict[str, str]

    def print(self, url: str, wait: str) -> tuple[bytes, dict[str, Any]]:
        """Prints a page; returns the PDF, and facts for the answer."""
        ...

    def tidy(self) -> None:
        """Cleans up after a job."""
        ...


class Conversation:
    """Answers the benchmark. Make it before anything else can write to stdout, which becomes stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._marks: dict[str, float] = {"begun": time.monotonic()}

    def mark(self, name: str) -> None:
        """Notes that a part of the start has ended now."""
        self._marks[name] = time.monotonic()

    def serve(self, printer: Printer) -> None:
        """Answers jobs until stdin ends."""
        self._say({"ready": time.monotonic(), "marks": self._marks, "versions": printer.versions})
        for line in sys.stdin:
            job = json.loads(line)
            self._say(self._loop(printer, job) if "loop" in job else self._one(printer, job))

    def _one(self, printer: Printer, job: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            pdf, facts = printer.print(job["url"], job["wait"])
            ended = time.monotonic()
            Path(job["file"]).write_bytes(pdf)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is its result
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            printer.tidy()
        return {"ms": (ended - began) * 1000, "at": ended, **facts}

    def _loop(self, printer: Printer, job: dict[str, Any]) -> dict[str, Any]:
        done, began = 0, time.monotonic()
        try:
            while time.monotonic() < job["until"]:
                printer.print(job["loop"][done % len(job["loop"])], "load")
                printer.tidy()
                done += 1
        except Exception as error:  # noqa: BLE001 - see above
            return {"error": f"{type(error).__name__}: {error}"}
        return {"done": done, "seconds": time.monotonic() - began}

    def _say(self, answer: dict[str, Any]) -> None:
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()
