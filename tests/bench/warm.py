"""Times warm tools on all pages, in turns: from the job to the PDF in the tool's memory.

Each tool stays warm in a process of its own; tools that take a process for every page are timed with it. In each round
another tool is the first. Every PDF is checked for what its page must show.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from infra.local.settings import PROJECT
from tests.bench.check import missing
from tests.bench.pages import Page
from tests.bench.peers_install import read_missing
from tests.bench.tools import Failed, Tool, Worker, missing_reason, run_command, started

PAUSE = 0.15
"""Seconds between two jobs, in which urlshot closes the page and makes the next one.

On Lambda, which freezes the process at its answer, it does that during the upload to S3, which no job here has.
"""
SLOW = {"weasyprint", "chromium", "wkhtmltopdf"}
"""Tools that take seconds for some pages; they are measured in fewer rounds."""
FAILURES = 2
"""A tool that has failed so often is not asked again."""
Say = Callable[[str], None]


class Field:
    """All tools, with their workers and results."""

    def __init__(self, tools: Sequence[Tool], say: Say) -> None:
        self._say = say
        self._tools = {tool.name: tool for tool in tools}
        self._workers: dict[tuple[str, ...], Worker] = {}
        self._stack = ExitStack()
        self._failures = dict.fromkeys(self._tools, 0)
        self.tools: dict[str, dict[str, Any]] = {}
        self.warm: dict[str, dict[str, Any]] = {}
        absent = read_missing()
        for tool in tools:
            reason = missing_reason(tool, absent)
            shown = {"title": tool.title, "how": tool.how, "peer": tool.peer, "versions": {}}
            self.tools[tool.name] = shown | {"missing": reason, "failed": []}
            if reason:
                say(f"warm: {tool.name} is missing: {reason}")

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def usable(self, tool: Tool) -> bool:
        """Says whether a tool is there and has not failed too often."""
        return not self.tools[tool.name]["missing"] and self._failures[tool.name] < FAILURES

    def print_page(self, tool: Tool, page: Page, url: str, *, counts: bool) -> None:
        """Prints a page, checks the PDF, and keeps the time if it counts."""
        cell = self.warm.setdefault(page.name, {}).setdefault(tool.name, {"ms": [], "lacks": [], "phases": []})
        if cell.get("failed"):
            return
        try:
            answer, pdf = self._printed(tool, url)
        except Failed as error:
            reason = str(error).splitlines()[0].replace(str(PROJECT), ".")
            self._failures[tool.name] += 1
            cell["failed"] = reason
            self.tools[tool.name]["failed"].append(f"{page.title}: {reason}")
            self._say(f"warm: {tool.name} fails on {page.name}: {reason}")
            self._drop(tool)
            return
        for lack in missing(page, pdf):
            if lack not in cell["lacks"]:
                cell["lacks"].append(lack)
        if "verdict" in answer:
            cell["verdict"], cell["warnings"] = answer["verdict"], answer["warnings"]
        if counts:
            cell["ms"].append(round(answer["ms"], 1))
            if "phases" in answer:
                cell["phases"].append(round(sum(answer["phases"].values()), 1))
        time.sleep(PAUSE)

    def _printed(self, tool: Tool, url: str) -> tuple[dict[str, Any], bytes]:
        if tool.command:
            return run_command(tool, url)
        if tool.worker not in self._workers:
            worker = self._stack.enter_context(started(tool))
            self._workers[tool.worker] = worker
            self.tools[tool.name]["versions"] = worker.ready()["versions"]
        return self._workers[tool.worker].print_page(url, tool.wait)

    def _drop(self, tool: Tool) -> None:
        """Ends the worker of a tool that failed, so that the next job gets a new one."""
        worker = self._workers.pop(tool.worker, None)
        if worker is not None:
            worker.close()


@dataclass(frozen=True)
class Rounds:
    """How often each tool prints each page, after a round to warm up.

    Attributes:
        most: The number of rounds that count.
        slow: That of the tools in `SLOW`.
        seconds: After this time no further round begins, but at least one counts.
        turns: How often the floor and urlshot print each page in a round. They differ by less than the machine's speed
            changes.
    """

    most: int
    slow: int
    seconds: float
    turns: int = 1


def warm(field: Field, tools: Sequence[Tool], pages: Sequence[Page], host: str, say: Say, rounds: Rounds) -> None:
    """Fills the results of the field."""
    first = time.monotonic()
    for number in range(rounds.most + 1):
        began = time.monotonic()
        if number > 1 and began - first > rounds.seconds:
            say(f"warm: {number - 1} rounds in place of {rounds.most}: the time is over")
            return
        order = [*tools[number % len(tools) :], *tools[: number % len(tools)]]
        order += [tool for tool in order if not tool.peer] * (rounds.turns - 1)
        for page in pages:
            for tool in order:
                turn = tool.name not in SLOW or 0 < number <= rounds.slow
                if turn and field.usable(tool) and (tool.scripts or not page.script):
                    field.print_page(tool, page, f"http://{host}/{page.name}", counts=number > 0)
        say(f"warm: round {number} of {rounds.most} took {time.monotonic() - began:.0f} s")
