"""Tests the local stack as a process: it reports its addresses, and leaves no process running however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[3]


class Running:
    def __init__(self, ready: Path, log: Path) -> None:
        self._log = log.open("w")
        command = [sys.executable, "-m", "infra.local", "up", "--ready-file", str(ready)]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdout=self._log, stderr=subprocess.STDOUT)
        limit = time.monotonic() + 50
        while not ready.exists():
            assert self.process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < limit, log.read_text("utf-8")
            time.sleep(0.05)
        self.access: dict[str, Any] = json.loads(ready.read_text("utf-8"))
        self.folder = Path(self.access["logs"]).parent

    def children(self) -> dict[int, str]:
        """Returns the commands of all processes whose environment or command line names the run's folder, by pid."""
        mine, found = str(self.folder).encode(), dict[int, str]()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                if mine in command or mine in (entry / "environ").read_bytes():
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
        return found

    def instances(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(self.access["invoke_endpoint"] + "/_local/instances", timeout=5) as answer:
            return list(json.load(answer))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._log.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    stack = Running(tmp_path / "ready.json", tmp_path / "log")
    yield stack
    stack.close()


def all_gone(stack: Running) -> bool:
    """Waits at most 10 s for the end of all processes of the run, and returns whether they ended."""
    limit = time.monotonic() + 10
    while stack.children() and time.monotonic() < limit:
        time.sleep(0.05)
    return not stack.children()


def test_sigterm_ends_the_stack_with_code_0_and_keeps_mails_and_logs(running: Running) -> None:
    commands = " ".join(running.children().values())
    assert "beam" in commands
    assert "awslambdaric" in commands
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(20) == 0
    assert all_gone(running)
    assert {entry.name for entry in running.folder.iterdir()} == {"mails", "logs", "lock"}


def test_stack_reports_a_dead_part_and_ends(running: Running, tmp_path: Path) -> None:
    (aws,) = [pid for pid, command in running.children().items() if "infra.local.aws.server" in command]
    os.kill(aws, signal.SIGKILL)
    assert running.process.wait(20) == 1
    assert "aws ended by itself" in (tmp_path / "log").read_text("utf-8")
    assert all_gone(running)


def test_sigkill_leaves_no_process_running(running: Running) -> None:
    limit = time.monotonic() + 20
    # A frozen browser must be killed too.
    while "RenderFunction" not in {item["function"] for item in running.instances() if item["state"] == "frozen"}:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert [command for command in running.children().values() if "chrom" in command.split(" ")[0]]
    running.process.kill()
    running.process.wait(10)
    assert all_gone(running)
