"""The browser's processes, seen from outside: Playwright does not say which they are."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_COMMAND_LENGTH = 15
"""Characters that the kernel keeps of a command's name (proc(5), `comm`)."""


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    command: str
    state: str


def adopt_orphans() -> None:
    """Makes this process the parent of the processes that outlive the browser (prctl(2), PR_SET_CHILD_SUBREAPER).

    Otherwise they go to process 1, which need not reap them: each replaced browser would leave its zygotes and
    renderers as defunct processes for as long as the instance lives.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def browser_processes(binary: Path) -> list[int]:
    """Process ids of the descendants of this process that run `binary`; defunct ones run nothing."""
    parents = {process.pid: process.parent for process in _processes()}
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


def kill_browser(binary: Path) -> list[int]:
    """Ends every browser process below this one, at once and without asking it; returns their ids."""
    found = browser_processes(binary)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def reap_orphans(binary: Path, killed: list[int], seconds: float) -> None:
    """Reaps the browser's processes that are children of this process, so that none stays defunct.

    Waits until the `killed` ones have ended, `seconds` at most. It reaps no other program: asyncio reaps the driver.
    """
    with contextlib.ExitStack() as open_files:
        poll = select.poll()
        waiting = 0
        for pid in killed:
            with contextlib.suppress(OSError):  # it has ended and been reaped, or the kernel is older than 5.3
                descriptor = os.pidfd_open(pid)
                open_files.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
                waiting += 1
        deadline = time.monotonic() + seconds
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                poll.unregister(descriptor)
                waiting -= 1
    for process in _processes():
        # A defunct process has no executable any more, only its command's name.
        is_browser = process.command == binary.name[:_COMMAND_LENGTH]
        if process.parent == os.getpid() and process.state == "Z" and is_browser:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def _processes() -> Iterator[_Process]:
    """All processes of the machine that can be seen, except those that end meanwhile."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command in parentheses may hold anything; what follows it is the state and the parent (proc(5)).
                start, _, rest = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")
                state, parent = rest.split()[:2]
                yield _Process(int(entry), int(parent), start.partition("(")[2], state)
