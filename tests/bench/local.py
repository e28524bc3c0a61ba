"""Runs the local stack in a process of its own, serves pages to print, and receives the ends of jobs over AMQP.

A job counts as done when its completion message arrives: its record has ended by then, and no polling is needed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import amqp
import boto3
from botocore.config import Config

from infra.local.template.addresses import REGION
from urlshot.core.messages import COMPLETED, EXCHANGE, FAILED

START_SECONDS = 240.0
STOP_SECONDS = 60.0
PATIENCE = 120.0
"""Seconds for one job or one answer; generous, because the machine may be busy."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Site:
    """A web server with a small page for every path. Pages below /slow take 30 s unless they are released."""

    SLOW_SECONDS = 30.0

    def __init__(self) -> None:
        self._go = threading.Event()
        self._number = 0
        self._held = threading.Semaphore(0)
        site = self

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.startswith("/slow"):
                    site._held.release()
                    site._go.wait(site.SLOW_SECONDS)
                body = f"<!doctype html><title>{self.path}</title><h1>Page</h1><p>{self.path}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def new(self, kind: str) -> str:
        """Returns a URL that no job has had before."""
        self._number += 1
        return f"http://{self.host}/{kind}?{self._number}"

    def hold(self) -> None:
        """Makes slow pages wait from now on."""
        self._go.clear()

    def await_held(self, count: int) -> None:
        """Waits until `count` more slow pages have been requested."""
        for _ in range(count):
            if not self._held.acquire(timeout=PATIENCE):
                raise SystemExit("a slow page was not requested")

    def release(self) -> None:
        """Answers all slow pages."""
        self._go.set()

    def close(self) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()


class Ends:
    """Receives the ends of jobs from an exclusive queue on the exchange."""

    def __init__(self, url: str) -> None:
        self._changed = threading.Condition()
        self._found: dict[str, tuple[float, dict[str, Any]]] = {}
        self._first: dict[str, float] = {}
        self._closing = False
        self._connection = connect(url)
        channel = self._connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        for key in (COMPLETED, FAILED):
            channel.queue_bind(queue, EXCHANGE, key)
        channel.basic_consume(queue, no_ack=True, callback=self._on_message)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _on_message(self, message: Any) -> None:
        event = json.loads(message.body)
        with self._changed:
            self._found[event["id"]] = (time.time(), event)
            self._first.setdefault(event["id"], time.time())
            self._changed.notify_all()

    def _drain(self) -> None:
        while not self._closing:
            try:
                self._connection.drain_events(timeout=0.5)
            except TimeoutError:
                continue
            except (OSError, amqp.exceptions.AMQPError):
                return

    def first(self, job_id: str) -> float | None:
        """Returns when the first end of a job arrived, in seconds since the epoch; None if none has."""
        return self._first.get(job_id)

    def wait(self, job_id: str) -> tuple[float, dict[str, Any]]:
        """Returns the time at which the job's end arrived, in seconds since the epoch, and its event."""
        return self.wait_all([job_id], PATIENCE)[0]

    def wait_all(self, ids: list[str], seconds: float) -> list[tuple[float, dict[str, Any]]]:
        """Waits at most `seconds` for the ends of all jobs; returns for each job what `wait` returns."""
        with self._changed:
            if not self._changed.wait_for(lambda: all(one in self._found for one in ids), seconds):
                missing = sum(one not in self._found for one in ids)
                raise SystemExit(f"{missing} of {len(ids)} jobs did not end within {seconds:g} s")
            return [self._found[one] for one in ids]

    def close(self) -> None:
        self._closing = True
        self._thread.join(5)
        self._connection.collect()


def s3_client(endpoint: str) -> Any:
    """Returns a client that signs as urlshot's does; by default, botocore signs forms in another way in REGION."""
    config = Config(signature_version="s3v4")
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config, **keys)


class LocalStack:
    """A running local stack."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready
        self.ends = Ends(ready["amqp_url"])
        self.s3 = s3_client(ready["aws_endpoint"])

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Calls the API and returns the JSON of its answer. Raises `HTTPError` for a status above 399."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.ready["endpoint"] + path, data, {"Content-Type": "application/json"}, method=method
        )
        with _OPENER.open(request, timeout=PATIENCE) as response:
            return json.load(response)

    def post(self, url: str) -> str:
        """Requests a PDF of a page and returns the id of the job."""
        return str(self.call("POST", "/pdf", {"url": url})["id"])

    def post_to_done(self, url: str) -> tuple[float, dict[str, float]]:
        """Requests a PDF, waits for it, and returns the seconds from POST to done, in total and by stage."""
        began = time.time()
        job = self.post(url)
        accepted = time.time()
        ended, event = self.ends.wait(job)
        if event["error"] is not None:
            raise SystemExit(f"{url} failed: {event['error']}")
        phases = {name: milliseconds / 1000 for name, milliseconds in event["report"]["phases"].items()}
        before = {name: phases.pop(name) for name in ("queue", "wait", "hand_over")}
        parts = {"accept": accepted - began, **before, "render": sum(phases.values())}
        announce = ended - datetime.fromisoformat(event["finished_at"]).timestamp()
        return ended - began, {**parts, "announce": announce}

    def log_lines(self, function: str, message: str) -> list[dict[str, Any]]:
        """Returns the log lines of a function whose message is `message`."""
        file = Path(self.ready["logs"]) / f"{function}.log"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and message in line]
        return [line for line in found if line.get("message") == message]

    def render_end(self, job_id: str) -> tuple[float, float]:
        """Returns when `render` ended a job (seconds since the epoch), and its duration as Lambda reports it (seconds).

        Jobs must have run one after another, because the first report after the job's line is taken.
        """
        lines = (Path(self.ready["logs"]) / "RenderFunction.log").read_text("utf-8").splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        place = next(
            n for n, one in enumerate(records) if (one.get("job_id"), one.get("message")) == (job_id, "rendered")
        )
        report = next(one for one in records[place:] if one.get("type") == "platform.report")
        ended = datetime.fromisoformat(records[place]["timestamp"]).timestamp()
        return ended, report["record"]["metrics"]["durationMs"] / 1000

    def await_log(self, function: str, text: str, count: int, seconds: float) -> None:
        """Waits until the log of a function has `text` at least `count` times since the start of the stack."""
        file = Path(self.ready["logs"]) / f"{function}.log"
        eventually(lambda: file.read_bytes().count(text.encode()) >= count, f"{count} x {text!r}", seconds)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Opens a channel of a plain AMQP client that waits for confirms."""
        connection = connect(self.ready["amqp_url"])
        try:
            yield connection.channel()
        finally:
            connection.collect()

    def slots_in_use(self) -> int:
        """Returns how many slots have a holder."""
        return int(self.s3.list_objects_v2(Bucket=self.ready["bucket"], Prefix="slot/")["KeyCount"])

    def instances(self) -> list[dict[str, Any]]:
        """Returns the functions' running instances: `function`, `pid`, `state`."""
        with _OPENER.open(f"{self.ready['invoke_endpoint']}/_local/instances", timeout=PATIENCE) as response:
            return list(json.load(response))


def connect(url: str) -> Any:
    """Connects a plain AMQP client that waits for confirms."""
    match = re.fullmatch(r"amqp://([^:]+):([^@]+)@([^/]+)/", url)
    if match is None:
        raise SystemExit("the AMQP address of the stack is malformed")
    connection = amqp.Connection(match[3], match[1], match[2], confirm_publish=True)
    connection.connect()
    return connection


@contextmanager
def running(project: Path, site: Site, **parameters: object) -> Iterator[LocalStack]:
    """Starts the local stack of the project in folder `project` as `make up` does, and stops it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        ready, output = Path(folder) / "ready.json", Path(folder) / "out"
        command = [sys.executable, "-m", "infra.local", "up", "--ready-file", str(ready), "--allow", site.host]
        for name, value in parameters.items():
            command += ["--param", f"{name}={value}"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with output.open("wb") as file:
            process = subprocess.Popen(command, cwd=project, stdout=file, stderr=file, env=environment)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the stack did not start:\n" + output.read_text()[-3000:])
                time.sleep(0.1)
            stack = LocalStack(json.loads(ready.read_text("utf-8")))
            try:
                yield stack
            finally:
                stack.ends.close()
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def eventually(look: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Polls until `look` returns true, for changes that nothing announces, such as those of a file."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not reached within {seconds:g} s")
        time.sleep(0.1)
