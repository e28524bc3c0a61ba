"""Starts, freezes, thaws and ends child processes and their descendants, and reads their output. Linux only.

Every child has a session of its own. On request it is also a "subreaper": orphans of its descendants become its
children and stay in its tree. When it dies, its orphans become children of this process, which is a subreaper too, and
`end_orphans` ends them. So a crashed function cannot leave a browser running.

psutil would not make this module simpler: sessions, subreapers, death signals and autogroups would remain. It is also
slower. It freezes a tree of 10 processes in 4.9 ms, this module in 3.6 ms (medians of 150 runs with 112 processes on
the machine; with 260 processes both take 8 to 9 ms), and every invocation ends with a freeze.

Source: prctl(2), pidfd_open(2), proc_pid_stat(5).
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_ours: set[int] = set()

LINE_LIMIT = 1 << 20  # bytes; longer lines are split


def become_subreaper() -> None:
    """Makes orphans of our children become children of this process, and not of process 1."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _prepare(subreaper: bool, niceness: int) -> None:
    """Sets the process attributes of a child. It runs in the child before exec, which keeps them."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # the child dies when this process is killed
    if subreaper:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if niceness:
        os.nice(niceness)
        set_session_niceness(os.getpid(), niceness)


def set_session_niceness(pid: int, niceness: int) -> None:
    """Sets the nice value of a process's whole session, if the kernel schedules sessions as groups.

    With autogroups, the nice value of a process only counts within its session. Source: sched(7).
    """
    group = Path(f"/proc/{pid}/autogroup")
    # OSError: the kernel has no autogroups, the process has ended, or a user without privileges has set a value within
    # the last 0.1 s.
    with suppress(OSError):
        if not group.read_text("utf-8").endswith(f" nice {niceness}\n"):
            group.write_text(str(niceness), "utf-8")


class _Lines(asyncio.Protocol):
    def __init__(self, listener: Callable[[str], None]) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = listener
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._listener(line.decode("utf-8", "replace").rstrip("\r"))

    def connection_lost(self, _exception: Exception | None) -> None:
        if self._rest:
            self._listener(self._rest.decode("utf-8", "replace"))
            self._rest = b""
        if not self.closed.done():
            self.closed.set_result(None)


class Child:
    """Controls a running child process.

    Attributes:
        pid: Its process id.
        exited: A future with its return code, which is the negative signal number if a signal ended it.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._output: _Lines | None = None
        self._transport: asyncio.ReadTransport | None = None
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._gone)

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        directory: Path | None = None,
        listener: Callable[[str], None],
        pass_fds: Sequence[int] = (),
        subreaper: bool = False,
        niceness: int = 0,
    ) -> "Child":
        """Starts a process.

        Args:
            command: The command and its arguments.
            environment: All its environment variables.
            directory: Its working directory.
            listener: Gets each line of its output and error output.
            pass_fds: File descriptors that it inherits.
            subreaper: Whether orphans of its descendants become its children.
            niceness: The nice value of the process and of its descendants.

        Raises:
            OSError: The process cannot be started.
        """
        # subprocess returns the pid within one step of the event loop, so end_orphans never sees an unknown child of
        # ours. asyncio's wrapper does not, and a pidfd needs no thread to wait for the process.
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=partial(_prepare, subreaper=subreaper, niceness=niceness),
        )
        _ours.add(process.pid)
        child = cls(process)
        child._transport, child._output = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Lines(listener), process.stdout
        )
        return child

    def _gone(self) -> None:
        code = self._process.poll()
        if code is None:
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        _ours.discard(self.pid)
        if not self.exited.done():
            self.exited.set_result(code)

    @property
    def alive(self) -> bool:
        if not self.exited.done():
            self._gone()  # it may have ended within this step of the event loop
        return not self.exited.done()

    async def wait(self, seconds: float) -> int | None:
        """Waits for the end of the process. Returns its return code; None if it still runs after that time."""
        await asyncio.wait([self.exited], timeout=seconds)
        return self.exited.result() if self.exited.done() else None

    async def end(self, grace: float = 0.0) -> None:
        """Kills the process and its descendants. A `grace` in seconds lets the process handle SIGTERM first."""
        if self.alive and grace > 0:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            await self.wait(grace)
        if self.alive:
            kill_tree(self.pid)
            await self.wait(5)
        end_orphans()
        if self._output is not None and self._transport is not None:
            await asyncio.wait([self._output.closed], timeout=1)  # for the last lines
            self._transport.close()


def start_warden(folder: Path) -> Callable[[], None]:
    """Starts a warden, which ends all processes of this run when this process is killed. See `warden.py`.

    The warden stays in our session, so `end_orphans` ignores it. It has no death signal, because it must outlive this
    process.

    Args:
        folder: The folder of the run, which the command line or environment of each of its processes contains.

    Returns:
        A function that ends the warden.
    """
    script = Path(__file__).with_name("warden.py")
    warden = subprocess.Popen(
        [sys.executable, "-S", "-E", script, folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )

    def call_off() -> None:
        warden.kill()
        warden.wait(5)
        if warden.stdin is not None:
            warden.stdin.close()

    return call_off


def _parents() -> dict[int, tuple[int, int, str]]:
    """Returns the parent, session and state of every process from /proc, by pid."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), int(fields[3]), fields[0].decode())
    return found


def descendants(root: int) -> list[int]:
    """Returns all descendants of a process, parents before their children."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _, state) in _parents().items():
        if state != "Z":
            children.setdefault(parent, []).append(pid)
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def _signal_all(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze_tree(root: int) -> list[int]:
    """Stops a process and its descendants. Returns their pids for `thaw`."""
    frozen = [root]
    _signal_all(frozen, signal.SIGSTOP)
    # A process may fork before it gets the signal, so repeat until there are no new processes.
    while new := [pid for pid in descendants(root) if pid not in frozen]:
        _signal_all(new, signal.SIGSTOP)
        frozen += new
    return frozen


def thaw(frozen: Sequence[int]) -> None:
    """Continues the processes that `freeze_tree` stopped, children before their parents."""
    _signal_all(list(reversed(frozen)), signal.SIGCONT)


def kill_tree(root: int) -> None:
    """Kills a process and its descendants."""
    _signal_all(freeze_tree(root), signal.SIGKILL)


def end_orphans() -> None:
    """Ends the processes that dead functions left behind.

    An orphan is a child of this process that this module did not start and that has another session. Functions have
    sessions of their own. Other code in this process, such as a test, starts processes in our session.
    """
    me, session = os.getpid(), os.getsid(0)
    for pid, (parent, sid, state) in _parents().items():
        if parent == me and pid not in _ours and sid != session:
            if state != "Z":
                kill_tree(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
