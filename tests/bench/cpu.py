"""Limits the processor time of a process and its descendants, as Lambda does: a control group of Linux (version 1).

Source: "CFS Bandwidth Control" in the kernel's documentation (Documentation/scheduler/sched-bwc.rst).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 20_000
"""The period of the quota. Lambda does not document its own; with a long one, a short burst would not be limited."""
_EMPTY_SECONDS = 10.0


def available() -> bool:
    """Says whether this process may make groups: it needs root and a mounted `cpu` controller."""
    return os.access(GROUPS / "cpu.cfs_quota_us", os.W_OK)


def quota_us(cpus: float) -> int:
    """Returns the microseconds of processor time in each period for a number of CPUs, which may be a fraction."""
    return round(cpus * PERIOD_US)


@contextlib.contextmanager
def limited(cpus: float) -> Iterator[tuple[str, ...]]:
    """Makes a group; yields the beginning of a command, which runs the rest of the command within the group."""
    group = GROUPS / f"urlshot-bench-{os.getpid()}-{quota_us(cpus)}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us(cpus)))
        yield "sh", "-c", f'echo $$ > {group}/tasks && exec "$@"', "sh"
    finally:
        deadline = time.monotonic() + _EMPTY_SECONDS
        while (group / "tasks").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)  # the kernel removes ended processes a little later
        group.rmdir()
