"""Finds, kills and reaps the browser's processes.

Every browser is the leader of a session (setsid(2)), and its processes stay in it. So the session names them at any
moment. The path of the binary and the name of the command do not: the kernel calls a process "exe" or after one of its
threads until it has named itself, and a process that ends has no path any more. The kernel does not use the number of
a session again before the last process of the session is reaped, and only this process reaps them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    session: int
    is_defunct: bool


def adopt_orphans() -> None:
    """Makes this process adopt descendants whose parent has ended (prctl(2), PR_SET_CHILD_SUBREAPER).

    Otherwise process 1 adopts them and may not reap them. Then the zygotes and renderers of each replaced browser would
    stay as defunct processes as long as the instance of the function lives.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def running_processes(sessions: Collection[int]) -> list[int]:
    """Returns the ids of the processes in these sessions, without defunct ones."""
    if not sessions:
        return []
    return [process.pid for process in _processes() if process.session in sessions and not process.is_defunct]


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


def kill_processes(sessions: Collection[int]) -> None:
    """Kills all processes in these sessions with SIGKILL, and the children that they start meanwhile."""
    killed: set[int] = set()
    while new := {*running_processes(sessions)} - killed:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= new


def reap_processes(sessions: Collection[int], seconds: float) -> set[int]:
    """Waits until all processes of killed sessions have ended, and reaps those that are children of this process.

    Args:
        sessions: The sessions.
        seconds: The longest wait.

    Returns:
        The sessions that still have processes.
    """
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as open_files:
        poll = select.poll()
        waiting = 0
        for pid in [process.pid for process in _processes() if process.session in sessions]:
            with contextlib.suppress(OSError):  # it is reaped already, or the kernel is older than 5.3
                descriptor = os.pidfd_open(pid)
                open_files.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
                waiting += 1
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                poll.unregister(descriptor)
                waiting -= 1
    remaining = set()
    for process in _processes():
        if process.session in sessions and not _reap(process):
            remaining.add(process.session)
    return remaining


def _reap(process: _Process) -> bool:
    """Returns whether a process is reaped; not if it still runs, or has ended before one of its threads."""
    if not process.is_defunct or process.parent != os.getpid():
        return False
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] == process.pid
    except ChildProcessError:  # another thread has just reaped it
        return True


def _processes() -> Iterator[_Process]:
    """Yields all visible processes of the machine, except those that end meanwhile.

    It reads by system calls, because this happens after each job: with 150 processes pathlib takes 5 ms (measured).
    """
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command in parentheses may contain anything. The other fields follow it (proc(5)).
                state, parent, _, session = _read(f"/proc/{entry}/stat").rpartition(b")")[2].split(None, 4)[:4]
                yield _Process(int(entry), int(parent), int(session), state == b"Z")


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
