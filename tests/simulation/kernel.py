"""Schedules simulated processes, which are greenlets, by one clock.

A process yields at each call of a simulated service, for a latency that the history's decisions give. The latencies
determine the interleaving. So a history is a function of its decisions, and can be replayed and shrunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, NoReturn

from greenlet import getcurrent, greenlet

from tests.simulation.decisions import STEP, Decisions

EPOCH = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)


class Killed(BaseException):
    """The process dies here. No code of the product catches it."""


class Thread(greenlet):
    """A thread of a process. After its end it runs as a thread of another one, because a new greenlet costs time."""

    process: Process
    work: Callable[[], None]
    begun: bool
    """Whether the work has begun, and has not ended."""
    token: int
    """The number of the entry of the queue that wakes the thread; 0 if none does."""
    event: dict[str, Any]
    """The detail of the event that a consumer handles in this thread."""
    sent: list[Any]
    """The deliveries about this event that the thread has made."""
    last: Any
    """The newest of them, if it is for the newest claim."""


_idle: defaultdict[greenlet, list[Thread]] = defaultdict(list)
"""The threads that have no work, by the greenlet that runs the kernel."""


def _work() -> NoReturn:
    """Runs the work of the current thread, and waits for the next one."""
    thread: Any = getcurrent()
    main = thread.parent
    while True:
        thread.begun = True
        thread.work()
        thread.begun, thread.token = False, 0
        thread.process.threads.remove(thread)
        _idle[main].append(thread)
        main.switch()


class Process:
    """An invocation of a function, with its threads; they die together."""

    __slots__ = ("began", "deadline", "ended", "kernel", "name", "state", "threads")

    def __init__(self, kernel: Kernel, name: str, deadline: float, ended: Callable[[BaseException | None, Any], None]):
        self.kernel, self.name, self.deadline, self.ended = kernel, name, deadline, ended
        self.began = kernel.now
        self.threads: list[Thread] = []
        self.state: dict[str, Any] = {}

    @property
    def dead(self) -> bool:
        return "dead" in self.state


class Kernel:
    """The clock, and the queue of threads and actions that are due."""

    def __init__(self, decisions: Decisions, *, tracing: bool = False) -> None:
        self.now = 0.0
        self.decisions = decisions
        self.steps = 0
        self.trace: list[str] | None = [] if tracing else None
        self._seq = 0
        self._until = float("inf")
        self._most = 0
        """The time and the number of steps at which `run` stops."""
        self._queue: list[tuple[float, int, Thread | Callable[[], None]]] = []
        self._main = getcurrent()
        self._read = 0.0, EPOCH
        """The last time that `clock` returned."""
        self._alive: set[Process] = set()

    def clock(self) -> datetime:
        if self._read[0] != self.now:
            self._read = self.now, EPOCH + timedelta(seconds=self.now)
        return self._read[1]

    def say(self, who: str, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:10.2f}  {who}: {what}")

    # ---- for the harness --------------------------------------------------------------------------------------------

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self._seq += 1
        heappush(self._queue, (self.now + seconds, self._seq, action))

    def spawn(
        self, name: str, run: Callable[[], Any], timeout: float, ended: Callable[[BaseException | None, Any], None]
    ) -> Process:
        """Starts a process.

        Args:
            name: The name of the process, for traces and decisions.
            run: The code of the process.
            timeout: The seconds after which the process is killed.
            ended: Is called with the error of the process, or None, and with its result.
        """
        process = Process(self, name, self.now + timeout, ended)

        def body() -> None:
            try:
                result = run()
            except Killed:
                self.kill(process, "killed")
            except Exception as error:  # noqa: BLE001 - `ended` checks it
                self._end(process, error, None)
            else:
                self._end(process, None, result)
            self._alive.discard(process)

        self._alive.add(process)
        self.start(process, body)
        return process

    def _end(self, process: Process, error: BaseException | None, result: Any) -> None:
        if not process.dead:
            process.state["dead"] = "ended"
            process.ended(error, result)

    def close(self) -> None:
        """Ends all remaining processes without running another step of them."""
        for process in list(self._alive):
            process.state["dead"] = "closed"
            self._reap(process)

    def kill(self, process: Process, why: str) -> None:
        """Ends a process with all of its threads; one of these may be the caller."""
        if process.dead:
            return
        process.state["dead"] = why
        self.say(process.name, f"DIES ({why})")
        self.after(0, lambda: self._reap(process))
        process.ended(Killed(why), None)

    def _reap(self, process: Process) -> None:
        for thread in list(process.threads):
            if thread.begun:
                thread.throw(Killed)
            else:
                thread.token = 0
                process.threads.remove(thread)
                _idle[self._main].append(thread)

    def run(self, until: float = float("inf"), steps: int = 100_000) -> bool:
        """Runs until the queue is empty or the time is `until`; returns False if `steps` steps did not suffice."""
        queue = self._queue
        self._until, self._most = until, steps
        while queue and queue[0][0] <= until:
            if self.steps >= steps:
                return False
            self.steps += 1
            time, seq, what = heappop(queue)
            if what.__class__ is Thread:
                if what.token != seq:
                    continue
                if time > self.now:
                    self.now = time
                process = what.process
                if self.now > process.deadline and "dead" not in process.state:
                    self.kill(process, "timed out")
                    continue
                what.switch()
            else:
                if time > self.now:
                    self.now = time
                what()
        if until != float("inf"):
            self.now = max(self.now, until)
        return True

    # ---- for the processes ------------------------------------------------------------------------------------------

    def current(self) -> Thread:
        thread = getcurrent()
        assert isinstance(thread, Thread), "a simulated service is called outside of a process"
        return thread

    def running(self) -> str:
        """Returns the name of the running process; empty if a simulated service runs."""
        thread = getcurrent()
        return thread.process.name if isinstance(thread, Thread) else ""

    def sleep(self, seconds: float) -> None:
        thread: Any = getcurrent()
        process: Process = thread.process
        if "dead" in process.state:
            raise Killed
        self._seq += 1
        wake, queue = self.now + seconds, self._queue
        if wake <= process.deadline and wake <= self._until and self.steps < self._most:
            if not queue or wake < queue[0][0]:
                # This thread is the next one, so no switch is needed.
                self.steps += 1
                self.now = wake
                return
        else:
            wake = min(wake, process.deadline + STEP)
        thread.token = self._seq
        heappush(queue, (wake, self._seq, thread))
        self._switch()
        if "dead" in process.state:
            raise Killed

    def _switch(self) -> None:
        """Switches to the thread that is due next; to `run` if something else is due, or nothing is."""
        queue = self._queue
        if queue and self.steps < self._most:
            time, seq, what = queue[0]
            if what.__class__ is Thread and what.token == seq and time <= self._until:
                process = what.process
                if max(time, self.now) <= process.deadline:
                    heappop(queue)
                    self.steps += 1
                    if time > self.now:
                        self.now = time
                    what.switch()
                    return
        self._main.switch()

    def wait(self) -> None:
        """Suspends the current thread until another thread wakes it."""
        thread = self.current()
        thread.token = 0
        self._switch()
        if "dead" in thread.process.state:
            raise Killed

    def wake(self, thread: Thread) -> None:
        self._seq += 1
        thread.token = self._seq
        heappush(self._queue, (self.now, self._seq, thread))

    def enter(self, what: str, faults: tuple[str, ...] = (), about: object = "") -> tuple[str, str]:
        """Yields before a call takes effect, and returns the name of the process and the fault of the call.

        `what` and `about` are only for the trace.

        Raises:
            Killed: The fault is `dies`, or the process died meanwhile. The call has no effect.
        """
        thread: Any = getcurrent()
        name, decisions = thread.process.name, self.decisions
        self.sleep(decisions.latency(name))
        fault = decisions.fault(name, faults) if not decisions.calm or decisions.given is not None else ""
        if self.trace is not None:
            self.say(name, f"{what} {about}".rstrip() + (f"  <{fault}>" if fault else ""))
        if fault == "dies":
            self._die(thread.process)
        return name, fault

    def leave(self, fault: str) -> None:
        """Applies the faults that come after the effect of a call: `dies after` and `slow`."""
        if fault == "dies after":
            self._die(self.current().process)
        if fault == "slow":
            self.sleep(self.decisions.between(f"{self.current().process.name}/slow", 60))

    def _die(self, process: Process) -> NoReturn:
        """Kills the running process at once, so that its code for errors makes no further call."""
        self.kill(process, "killed")
        raise Killed

    def start(self, process: Process, body: Callable[[], None]) -> Thread:
        idle = _idle[self._main]
        thread = idle.pop() if idle else Thread(_work, self._main)
        thread.process, thread.work, thread.begun = process, body, False
        thread.event, thread.sent, thread.last = {}, [], None
        process.threads.append(thread)
        self.wake(thread)
        return thread
