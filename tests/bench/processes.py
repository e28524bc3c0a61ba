"""Reads processor time and memory of a process with all its descendants from /proc (proc(5))."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A line of the process table.

    Attributes:
        parent: The id of its parent.
        seconds: Its own processor time.
        reaped: That of its children that have ended.
        begun: When it started, in ticks since the machine did; with the id it identifies a process.
    """

    parent: int
    seconds: float
    reaped: float
    begun: int = 0


def table() -> dict[int, Process]:
    """Returns all processes by id, except those that end meanwhile."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(folder.name)] = parsed((folder / "stat").read_text(errors="replace"))
    return found


def parsed(stat: str) -> Process:
    """Parses /proc/<pid>/stat; the name in parentheses may contain anything."""
    fields = stat.rpartition(") ")[2].split()
    return Process(
        parent=int(fields[1]),
        seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        reaped=(int(fields[13]) + int(fields[14])) / _TICKS,
        begun=int(fields[19]),
    )


def below(processes: dict[int, Process], root: int) -> set[int]:
    """Returns the ids of a process and of all its descendants; empty if it is not in the table."""
    found: set[int] = {root} & processes.keys()
    while more := {pid for pid, one in processes.items() if one.parent in found} - found:
        found |= more
    return found


class Tree:
    """A process and its descendants."""

    def __init__(self, root: int) -> None:
        self._root = root

    def pids(self) -> set[int]:
        """Returns the ids of all of them."""
        return below(table(), self._root)

    def seconds(self) -> float:
        """Returns the processor time of all of them, with that of those that have ended."""
        processes = table()
        return sum(processes[pid].seconds + processes[pid].reaped for pid in below(processes, self._root))

    def private_bytes(self) -> int:
        """Returns their resident memory without shared pages."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
                total += (int(resident) - int(shared)) * _PAGE
        return total

    def proportional_bytes(self) -> int:
        """Returns their resident memory; a page that several processes share counts in part for each (PSS)."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        return total

    def members(self) -> dict[int, int]:
        """Returns the ids of all of them, each with the time when the process started."""
        processes = table()
        return {pid: processes[pid].begun for pid in below(processes, self._root)}


def kill(members: dict[int, int]) -> None:
    """Kills those processes of `members` that still run, wherever in the tree of processes they are now."""
    processes = table()
    for pid, begun in members.items():
        if pid in processes and processes[pid].begun == begun:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


class Peak:
    """Samples the memory of several trees in a thread, and keeps the largest sum in bytes.

    Shared pages do not count, or with `shared` in proportion.
    """

    SECONDS = 0.1
    """Time between two samples."""

    def __init__(self, trees: list[Tree], *, shared: bool = False) -> None:
        self._trees = trees
        self._read = Tree.proportional_bytes if shared else Tree.private_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.is_set():
            self.bytes = max(self.bytes, sum(self._read(tree) for tree in self._trees))
            self._stop.wait(self.SECONDS)
