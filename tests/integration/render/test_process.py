"""Tests the function as Lambda runs it: by awslambdaric, with the built layer, and a runtime API of the tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from functions.render.browser.browser import PREPARE_SECONDS
from infra.local.host.processes import become_subreaper
from playwright_aws_lambda import Layer

from .processes import RUNNING, descendants

ROOT = Path(__file__).parents[3]
SECRET = "made-up-secret-a7f3"


class Runtime:
    """A Lambda runtime API for one process: hands out events and takes answers."""

    def __init__(self, layer: Layer, log: Path) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = json.dumps(runtime.events.get()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")  # awslambdaric 4.2 segfaults without it
                self.send_header("Lambda-Runtime-Aws-Request-Id", "request-1")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60) * 1000)))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:render")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = b""
                if self.headers["Content-Length"] is not None:
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                else:  # awslambdaric sends large answers chunked
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                runtime.answers.put((self.path.rpartition("/")[2], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients may leave early
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        path = [ROOT, ROOT / "layers" / "shared", layer.root / "python"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "functions.render.app.handler"],
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=become_subreaper,  # like the local stack: processes that it does not reap stay its descendants
            env={
                "PATH": os.environ["PATH"],
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": os.pathsep.join(map(str, path)),
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_address[1]}",
                "AWS_LAMBDA_FUNCTION_NAME": "render",
                "AWS_ACCESS_KEY_ID": SECRET,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_SESSION_TOKEN": SECRET,
                "AWS_REGION": "eu-west-1",
                "OWN_HOST": "api.example.com",
            },
        )

    def invoke(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.events.put(event)
        return self.answers.get(timeout=60)

    def children(self) -> list[int]:
        """Returns the ids of all running descendants of the function's process."""
        return descendants(root=self.process.pid)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.server.shutdown()


@pytest.fixture
def runtime(layer: Layer, tmp_path: Path) -> Iterator[Runtime]:
    started = Runtime(layer, tmp_path / "log")
    yield started
    started.close()


@pytest.fixture
def event() -> dict[str, Any]:
    """The example event in tests/events."""
    loaded: dict[str, Any] = json.loads((ROOT / "tests" / "events" / "render.json").read_text())
    return loaded


def test_example_event_renders_and_no_secret_reaches_a_child(
    runtime: Runtime, event: dict[str, Any], layer: Layer, tmp_path: Path
) -> None:
    kind, answer = runtime.invoke(event)
    assert kind == "response", answer
    assert answer["pdf"].startswith("JVBERi")  # %PDF in base64
    assert answer["report"]["cold"] is True

    environments = {}
    for pid in runtime.children():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # the process of a tab may just have ended
            environments[pid] = Path(f"/proc/{pid}/environ").read_bytes()
            assert SECRET.encode() not in environments[pid]
            assert b"AWS_" not in environments[pid]
    binary = layer.inflate()
    browser = min(pid for pid in environments if os.readlink(f"/proc/{pid}/exe") == str(binary))
    names = {entry.partition(b"=")[0].decode() for entry in environments[browser].split(b"\0") if entry}
    assert names == {"LD_LIBRARY_PATH", "FONTCONFIG_PATH", "HOME", "TMPDIR"}

    denied = {**event, "html": None, "url": "https://api.example.com/prod/pdf?url=x"}
    assert runtime.invoke(denied)[1]["error"]["code"] == "blocked_target"
    kind, error = runtime.invoke({"not": "a job"})
    assert kind == "error"
    assert error["errorType"] == "Broken"
    log = (tmp_path / "log").read_text()
    assert SECRET not in log


def test_dead_browser_ends_the_process(runtime: Runtime, event: dict[str, Any], layer: Layer, tmp_path: Path) -> None:
    assert runtime.invoke(event)[0] == "response"
    binary = str(layer.inflate())
    browser = min(pid for pid in runtime.children() if _program(pid) == binary)
    os.kill(browser, signal.SIGKILL)
    assert runtime.process.wait(30) == 70
    assert "the browser died" in (tmp_path / "log").read_text()


def test_browser_ends_with_a_killed_function(runtime: Runtime, event: dict[str, Any], layer: Layer) -> None:
    assert runtime.invoke(event)[0] == "response"
    children = runtime.children()
    assert children
    runtime.process.kill()
    runtime.process.wait()
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if _runs(pid)]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_frozen_function_keeps_its_browser(runtime: Runtime, event: dict[str, Any], layer: Layer) -> None:
    """Lambda freezes all processes at the answer, while the page is closed and the next one is prepared."""
    binary = str(layer.inflate())
    assert runtime.invoke(event)[0] == "response"
    browser = min(pid for pid in runtime.children() if _program(pid) == binary)
    for _ in range(2):
        assert runtime.invoke(event)[1]["report"]["cold"] is False
        frozen = [runtime.process.pid, *runtime.children()]
        _signal(frozen, signal.SIGSTOP)
        time.sleep(PREPARE_SECONDS + 1)  # the time of the freeze itself
        _signal(frozen, signal.SIGCONT)
    kind, answer = runtime.invoke(event)
    assert kind == "response" and answer.get("error") is None, answer
    assert _runs(browser)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_1000_renders_leave_no_more_processes_than_10(runtime: Runtime, event: dict[str, Any]) -> None:
    """The browser is replaced ten times in these renders."""
    counts = {}
    for number in range(1, 1001):
        kind, answer = runtime.invoke(event)
        assert kind == "response" and answer.get("error") is None, answer
        if number in (10, 1000):
            counts[number] = _settled_count(runtime)
    print(counts)
    assert counts[1000] == counts[10]
    assert descendants("Z", runtime.process.pid) == []


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # the process of a tab may just have ended
            os.kill(pid, number)


def _settled_count(runtime: Runtime) -> int:
    """Returns the number of the function's descendants in any state, when three counts in a row agree."""
    looks: list[int] = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        looks.append(len(descendants({*RUNNING, "Z"}, runtime.process.pid)))
        if len(looks) >= 3 and len(set(looks[-3:])) == 1:
            break
        time.sleep(0.5)
    return looks[-1]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def _program(pid: int) -> str:
    """Returns the path of a process's program; empty if the process has just ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""
