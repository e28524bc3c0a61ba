"""Runs cases: arms the fault, sends jobs that reach its stage, and heals what was broken."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from infra.local.host.processes import descendants
from tests.faults.armory import BURST, BURST_SECONDS, FREEZE_SECONDS, Armory
from tests.faults.books import Promise
from tests.faults.cases import Case
from tests.faults.http_proxy import TIMEOUT_SECONDS
from tests.faults.load import Load
from tests.faults.owners import Stopped, kill
from tests.faults.stand import Stand
from tests.faults.tcp_proxy import SLOW_SECONDS
from tests.faults.witnesses import QueueWitness
from urlshot.core.identity import job_id
from urlshot.core.messages import MAX_BODY

REACH_SECONDS = 15.0
"""How long a case waits for its stage."""
SLOW_KINDS = ("failing", "unanswered", "callback", "real")
"""Kinds that need longer for their last stages."""
PAGE_SECONDS = 90.0
"""How long a case waits for a real render, which first has to start a browser."""
SENT_BY_CASE = 3
PAUSE_SECONDS = 0.5
BROKER_SECONDS = 5.0
MEMORY_BYTES = 700 << 20
"""The memory of a render at which Lambda's place is taken: the instance is killed, as for RenderMemory there."""
_WATERMARK = ("set_vm_memory_high_watermark", "absolute", "512MB")  # as in infra/local/broker/rabbitmq.py


class Runner:
    """Runs one case at a time from any thread."""

    def __init__(self, stand: Stand, armory: Armory, load: Load, queue: QueueWitness, pages: str, seed: int) -> None:
        self._stand = stand
        self._armory = armory
        self.load = load
        self._queue = queue
        self._pages = pages
        self._drawn = random.Random(seed)
        self._number = 0
        self._lock = threading.Lock()

    def run(self, case: Case) -> bool:
        """Runs a case, and says whether its fault hit something."""
        match case.stage:
            case "broker":
                return self._broker(case)
            case "page":
                return self._page(case)
            case "message":
                return self._message(case)
        armed = self._armory.arm(case.stage, case.fault, case.span)
        if case.stage == "secret":
            self._stand.kill_idle("SettleFunction")  # a new instance reads the secret
        try:
            for _ in range(1 if case.kind == "bulk" else SENT_BY_CASE):
                if armed.over:
                    break
                self.load.send(case.kind)
            hit = armed.hit.wait(REACH_SECONDS * (2 if case.kind in SLOW_KINDS else 1))
            if hit and case.span == BURST:
                self._send_for(case.kind, BURST_SECONDS)
        finally:
            self._armory.disarm(armed)
        return hit

    def _send_for(self, kind: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.load.send(kind)
            time.sleep(PAUSE_SECONDS)

    # ---- the broker --------------------------------------------------------------------------------------------------

    def _broker(self, case: Case) -> bool:
        stand, tcp = self._stand, self._stand.tcp
        self._armory.note("broker", case.fault)
        match case.fault:
            case "cut all":
                for _ in range(3):
                    stand.call(tcp.cut_all)
                    self._send_for(case.kind, 1.0)
            case "half-open all":
                stand.call(tcp.block_all, FREEZE_SECONDS)
                self._send_for(case.kind, FREEZE_SECONDS)
            case "slow all":
                stand.call(tcp.slow_all, SLOW_SECONDS / 10)
                self._send_for(case.kind, BROKER_SECONDS)
                stand.call(tcp.slow_all, 0.0)
            case "refused":
                stand.call(tcp.refuse, BROKER_SECONDS)
                self._send_for(case.kind, BROKER_SECONDS)
            case "stopped":
                stand.ctl("stop_app")
                self._send_for(case.kind, 2.0)
                stand.ctl("start_app")
            case "killed":
                self.load.send(case.kind)
                stand.run(stand.rabbit.kill_and_start())
            case "memory alarm":
                stand.ctl("set_vm_memory_high_watermark", "0.000001")
                try:
                    self._send_for(case.kind, BROKER_SECONDS)
                finally:
                    stand.ctl(*_WATERMARK)
        self._send_for(case.kind, 1.0)
        return True

    # ---- renders -----------------------------------------------------------------------------------------------------

    def _page(self, case: Case) -> bool:
        with self._lock:
            self._number += 1
            number = self._number
        before = len(self._armory.injected)
        self.load.post(f"http://{self._pages}/real/{case.fault.replace(' ', '-')}/{number}")
        if case.fault in ("loop", "never", "cut"):
            self._armory.note("page", case.fault)
            return True
        until = time.monotonic() + PAGE_SECONDS
        while time.monotonic() < until:
            if any(one.stage == "page" and one.fault == case.fault for one in self._armory.injected[before:]):
                return True
            time.sleep(0.2)
        return False

    def find(self, port: int) -> int | None:
        """Returns the function's process that has a connection with this local port."""
        return self._stand.run(self._stand.find(port))

    def hurt(self, fault: str, port: int) -> None:
        """Injects a fault into the render that has a connection with this local port."""
        pid = self.find(port)
        if pid is None:
            return
        if fault == "disk full" and not self._stand.disk.mounted:
            return
        self._armory.note("page", fault, f"pid {pid}")
        browsers = [one for one in descendants(pid) if _is_browser(one)]
        match fault:
            case "render killed":
                kill(pid)
            case "browser killed":
                for one in browsers[:1]:
                    kill(one)
            case "render frozen" | "render frozen past its timeout":
                self._stop(pid, TIMEOUT_SECONDS if "timeout" in fault else FREEZE_SECONDS)
            case "browser stopped":
                for one in browsers[:1]:
                    self._stop(one, TIMEOUT_SECONDS)
            case "disk full":
                if self._stand.disk.fill():
                    threading.Timer(FREEZE_SECONDS, self._stand.disk.free).start()
            case "file limit":
                everything = (pid, *descendants(pid))
                _limit_files(everything, 0)
                threading.Timer(FREEZE_SECONDS, _limit_files, (everything, resource.RLIM_INFINITY)).start()
            case "memory":
                self._kill_at(pid, MEMORY_BYTES)

    @staticmethod
    def _stop(pid: int, seconds: float) -> None:
        stopped = Stopped(pid)
        threading.Timer(seconds, stopped.go).start()

    @staticmethod
    def _kill_at(pid: int, size: int) -> None:
        until = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < until and Path(f"/proc/{pid}").exists():
            if sum(map(_resident, (pid, *descendants(pid)))) > size:
                kill(pid)
                return
            time.sleep(0.1)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _message(self, case: Case) -> bool:
        self._armory.note("message", case.fault)
        match case.fault:
            case "twice" | "ten times":
                return self._repeat(case.kind, 1 if case.fault == "twice" else 9)
            case "out of order":
                return self._out_of_order()
            case "old version":
                if (copy := self._copy(case.kind)) is None:
                    return False
                self._refused({**json.loads(copy[0]), "version": 0})
            case "poison":
                for body in (b"", b"\xff\xfe{", b"[" * 50_000, b'"text"', b'{"url": 7}', b'{"url": "ftp://x/"}'):
                    self.load.send("bare")
                    self._refused(raw=body)
            case "near the limit":
                url = self.load.url("single")
                pad = "x" * (MAX_BODY - len(json.dumps({"url": url, "pad": ""})))
                self.load.publish({"url": url, "pad": pad}, Promise(time.time(), "a long message", job_id(url, {})))
                self._refused({"url": self.load.url("single"), "pad": pad + "x" * 100})
                self.load.post(self.load.url("single"), private={"headers": {f"x-{n}": "v" * 4000 for n in range(7)}})
        return True

    def _refused(self, body: object = None, raw: bytes | None = None) -> None:
        with self._lock:
            self._number += 1
            name = f"refused-{self._number}"
        self.load.publish(body, refused=name, raw=raw)

    def _copy(self, kind: str) -> tuple[bytes, str] | None:
        """Requests a page, and returns a copy of the message of its job with the name of its queue."""
        url = self.load.url("single")
        if kind == "bulk":
            self.load.batch([url])
        else:
            self.load.post(url)
        return self._queue.copy(url, REACH_SECONDS)

    def _repeat(self, kind: str, times: int) -> bool:
        """Publishes copies of a message at once, and one when its job has long been handed over."""
        if (copy := self._copy(kind)) is None:
            return False
        body, queue = copy
        for _ in range(times):
            self.load.publish(None, raw=body, queue=queue)
        threading.Timer(self._drawn.uniform(1, 8), lambda: self.load.publish(None, raw=body, queue=queue)).start()
        return True

    def _out_of_order(self) -> bool:
        """Publishes the messages of older generations after those of newer ones, in reversed order."""
        url = self.load.url("single")
        copies = []
        for _ in range(3):
            self.load.post(url, max_age=0)
            if (copy := self._queue.copy(url, REACH_SECONDS)) is None:
                return False
            copies.append(copy)
            time.sleep(1.5)  # so that the render has usually ended, and the next request starts a new generation
        for body, queue in reversed(copies):
            self.load.publish(None, raw=body, queue=queue)
        return len({body for body, _ in copies}) > 1


def heal(stand: Stand) -> None:
    """Ends the faults that last: alarms, slow connections and a full disk."""
    stand.call(stand.tcp.slow_all, 0.0)
    stand.disk.free()
    with suppress(subprocess.SubprocessError):
        stand.ctl(*_WATERMARK)


def _limit_files(pids: tuple[int, ...], size: int) -> None:
    """Lets no file of these processes become larger than `size` bytes; with 0, all writes to files fail."""
    for pid in pids:
        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _is_browser(pid: int) -> bool:
    with suppress(OSError):
        return b"headless" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _resident(pid: int) -> int:
    """Returns the resident memory of a process in bytes; 0 if it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0
