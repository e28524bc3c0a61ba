"""Lists the descendants of a process, from /proc (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

RUNNING = "RSDTtI"
"""States of a process that has not ended; `Z` is the state of one that has ended and is not reaped."""


def descendants(states: Container[str] = RUNNING, root: int | None = None) -> list[int]:
    """Returns the ids of the descendants of `root` (by default this process) that are in one of the states."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found[int(entry.name)] = (state, int(parent))
    below = [os.getpid() if root is None else root]
    for pid in below:
        below += [child for child, (_, parent) in found.items() if parent == pid]
    return [pid for pid in below[1:] if found[pid][0] in states]
