"""The browser's processes, seen from outside: Playwright does not say which they are."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def browser_processes(binary: Path) -> list[int]:
    """Process ids of the descendants of this process that run `binary`."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command in parentheses may hold anything; what follows it is the state and the parent (proc(5)).
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                parents[int(entry)] = int(fields[1])
    found = []
    for pid in parents:
        ancestor = parents.get(pid, 0)
        while ancestor not in (0, 1, os.getpid()):
            ancestor = parents.get(ancestor, 0)
        if ancestor == os.getpid():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == str(binary):
                    found.append(pid)
    return found


def private_bytes(pid: int) -> int:
    """Resident memory of a process without its shared pages; 0 if it has ended (proc(5), statm)."""
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def kill_browser(binary: Path) -> None:
    """Ends every browser process below this one, at once and without asking it."""
    for pid in browser_processes(binary):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
