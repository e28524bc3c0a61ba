"""Finds, kills and reaps the browser's processes."""

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
"""Length to which the kernel cuts the name of a command (proc(5), `comm`)."""


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    command: str
    state: str


def adopt_orphans() -> None:
    """Makes this process adopt descendants whose parent has ended (prctl(2), PR_SET_CHILD_SUBREAPER).

    Otherwise process 1 adopts them and may not reap them. Then the zygotes and renderers of each replaced browser would
    stay as defunct processes as long as the instance of the function lives.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def browser_processes(binary: Path) -> list[int]:
    """Returns the ids of this process's descendants that run `binary`, without defunct ones."""
    parents = {process.pid: process.parent for process in _processes()}
    own = os.getpid()
    found = []
    for pid in parents:
        ancestor = parents.get(pid, 0)
        while ancestor not in (0, 1, own):
            ancestor = parents.get(ancestor, 0)
        if ancestor == own:
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == str(binary):
                    found.append(pid)
    return found


def descendants(pid: int) -> list[int]:
    """Returns the ids of a process and of all its descendants; only its own if the kernel does not list children.

    It reads the lists of children (proc(5), CONFIG_PROC_CHILDREN), in 0.6 ms for a browser. A search among all
    processes of a machine takes ten times as long (measured with 200 processes).
    """
    found = [pid]
    for one in found:  # it grows
        with contextlib.suppress(OSError, ValueError):
            for thread in os.listdir(f"/proc/{one}/task"):
                found += map(int, _read(f"/proc/{one}/task/{thread}/children").split())
    return found


def private_bytes(pid: int) -> int:
    """Returns a process's resident memory in bytes, without shared pages; 0 if it has ended (proc(5), statm)."""
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def kill_browser(binary: Path) -> list[int]:
    """Kills every browser process among this process's descendants with SIGKILL; returns their ids."""
    found = browser_processes(binary)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def reap_orphans(binary: Path, killed: list[int], seconds: float) -> None:
    """Reaps the browser's processes that are children of this process, so that none stays defunct.

    It reaps no other program: asyncio reaps the driver.

    Args:
        binary: The browser's path.
        killed: Ids of processes whose end it waits for.
        seconds: The longest wait.
    """
    with contextlib.ExitStack() as open_files:
        poll = select.poll()
        waiting = 0
        for pid in killed:
            with contextlib.suppress(OSError):  # it is reaped already, or the kernel is older than 5.3
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
        # A defunct process has no executable any more, only the name of its command.
        is_browser = process.command == binary.name[:_COMMAND_LENGTH]
        if process.parent == os.getpid() and process.state == "Z" and is_browser:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def _processes() -> Iterator[_Process]:
    """Yields all visible processes of the machine, except those that end meanwhile.

    It reads by system calls, because this happens after each job: with 150 processes pathlib takes 5 ms (measured).
    """
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command in parentheses may contain anything. State and parent follow it (proc(5)).
                start, _, rest = _read(f"/proc/{entry}/stat").rpartition(b")")
                state, parent = rest.split(None, 2)[:2]
                command = start.partition(b"(")[2].decode(errors="replace")
                yield _Process(int(entry), int(parent), command, state.decode())


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
