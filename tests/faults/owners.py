"""Finds the process at the other end of a connection on this machine, and kills or stops it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from infra.local.host.processes import freeze_tree, thaw


def owner(port: int, pids: Iterable[int]) -> int | None:
    """Returns which of the processes has a TCP socket with this local port; None if none has.

    Args:
        port: The port on 127.0.0.1.
        pids: The processes that are asked.
    """
    wanted = f"0100007F:{port:04X}"
    table = Path("/proc/net/tcp").read_text("utf-8").splitlines()[1:]
    inodes = {f"socket:[{fields[9]}]" for line in table if (fields := line.split())[1] == wanted}
    for pid in pids:
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(entry.path) in inodes:
                        return pid
    return None


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Stopped:
    """Stops a process and its descendants, until `go`."""

    def __init__(self, pid: int) -> None:
        self._pids = freeze_tree(pid)

    def go(self) -> None:
        thaw(self._pids)
