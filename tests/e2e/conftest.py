"""Starts the whole local stack as `make up` does, serves pages for it to print, and reads its results."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import amqp
import boto3
import pytest

from tests import contract
from tests.web import PageRequest, WebServer

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds to wait for a thing that takes a second or two; generous, because machines stall."""

RENDERS = 4
"""The number of slots; bulk jobs may use all but one of them."""

MEMBER = "Basic " + base64.b64encode(b"me:s3cret").decode()
"""The Authorization header that pages below /members require."""


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


CONTRACT = contract.Contract()
ENDPOINTS: dict[str, str] = {}
"""The API key of each running stack, by endpoint. `call` checks the answers of these endpoints."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def call(
    method: str,
    url: str,
    body: object = None,
    data: bytes | None = None,
    *,
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Sends one HTTP request and returns the answer, whatever its status; redirects are not followed.

    An answer of an endpoint in `ENDPOINTS` must conform to the contract.

    Args:
        method: The HTTP method.
        url: The absolute URL.
        body: A value to send as JSON.
        data: The body as bytes, in place of `body`.
        key: The API key; None sends the endpoint's own key, and an empty string sends none.
        headers: Further headers.
    """
    if body is not None:
        data = json.dumps(body).encode()
    endpoint = next((known for known in ENDPOINTS if url.startswith(f"{known}/")), None)
    shown = ENDPOINTS[endpoint] if endpoint and key is None else key
    sent = {"Content-Type": "application/json", **({"x-api-key": shown} if shown else {}), **(headers or {})}
    request = urllib.request.Request(url, data, sent, method=method)
    try:
        with _OPENER.open(request, timeout=PATIENCE) as response:
            answer = Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        answer = Answer(error.code, error.headers, error.read())
    if endpoint is not None:
        asked = contract.Request(method, url.removeprefix(endpoint), data)
        faults = CONTRACT.faults(asked, contract.Answer(answer.status, answer.headers, answer.body))
        assert faults == [], f"{method} {url}: {answer.status} {answer.body[:2000]!r}"
    return answer


def eventually(look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Polls until `look` returns a true value and returns it, for changes that nothing announces."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not there after {seconds:g} s")
        time.sleep(0.05)
    return found


class Pages(WebServer):
    """A web server with a page for every path. A page can be held until the test releases it."""

    def __init__(self, port: int = 0) -> None:
        self.hits: Counter[str] = Counter()
        self.documents: dict[str, str] = {}
        """HTML of the paths that do not have the standard page."""
        self._gates: dict[str, threading.Event] = {}
        self._arrived: dict[str, threading.Event] = {}
        super().__init__(port)

    def answer(self, request: PageRequest) -> None:
        path, sent = request.path, request.headers
        self.hits[path] += 1
        if path in self._gates:
            self._arrived[path].set()
            self._gates[path].wait(PATIENCE)
        status = int(match[1]) if (match := re.match(r"/status/(\d+)", path)) else 200
        if path.startswith("/members") and sent.get("Authorization") != MEMBER:
            status = 401
        headers = {"WWW-Authenticate": 'Basic realm="members"'} if status == 401 else {}
        shown = f"{sent.get('Cookie', 'no cookie')}, {sent.get('X-Tenant', 'no tenant')}"
        plain = f"<!doctype html><title>Page {path}</title><h1>This is {path}</h1><p>{shown}"
        request.send(self.documents.get(path.partition("?")[0], plain).encode(), status, headers)

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def hold(self, path: str) -> tuple[threading.Event, threading.Event]:
        """Holds a page.

        Returns:
            An event that is set when the page is requested, and an event that releases the page when the test sets it.
        """
        self._arrived[path], self._gates[path] = threading.Event(), threading.Event()
        return self._arrived[path], self._gates[path]

    def close(self) -> None:
        for gate in self._gates.values():
            gate.set()
        super().close()


@dataclass
class Stack:
    """A running stack: the content of its ready file, its process, and the pages that it may print."""

    ready: dict[str, Any]
    process: subprocess.Popen[bytes]
    pages: Pages
    _read: dict[str, int] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return str(self.ready["endpoint"])

    @property
    def folder(self) -> str:
        """The folder of the run, which the command lines or environments of its processes name."""
        return str(Path(self.ready["logs"]).parent)

    def post(self, url: str, **more: Any) -> Answer:
        return call("POST", f"{self.endpoint}/pdf", {"url": url, **more})

    def ended(self, job_id: str) -> dict[str, Any]:
        """Waits until a job has ended and returns it as the endpoint shows it."""

        def look() -> dict[str, Any] | None:
            job = call("GET", f"{self.endpoint}/pdf/{job_id}?wait=20").json()
            return job if job["state"] in ("done", "failed") else None

        return eventually(look, f"the end of job {job_id}")

    def record(self, job_id: str) -> dict[str, Any]:
        """Returns the record of a job from the bucket."""
        s3 = boto3.client(
            "s3",
            endpoint_url=self.ready["aws_endpoint"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="eu-west-1",
        )
        body = s3.get_object(Bucket=self.ready["bucket"], Key=f"job/{job_id}.json")["Body"].read()
        record: dict[str, Any] = json.loads(body)
        assert record["id"] == job_id
        return record

    def log_lines(self, function: str, job_id: str) -> list[dict[str, Any]]:
        """Returns the JSON log lines of a function that contain the id of a job."""
        file = Path(self.ready["logs"]) / f"{function}.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines if job_id in line and line.startswith("{")]

    def mails(self, job_id: str) -> list[str]:
        return [
            text for file in sorted(Path(self.ready["mails"]).glob("*.eml")) if job_id in (text := file.read_text())
        ]

    def instances(self, function: str) -> list[dict[str, Any]]:
        found = call("GET", f"{self.ready['invoke_endpoint']}/_local/instances").json()
        return [one for one in found if one["function"] == function]

    def channel(self) -> amqp.Channel:
        """Opens a channel of a plain AMQP client."""
        match = re.fullmatch(r"amqp://([^:]+):([^@]+)@([^/]+)/", self.ready["amqp_url"])
        assert match is not None
        connection = amqp.Connection(match[3], match[1], match[2], confirm_publish=True)
        connection.connect()
        return connection.channel()


def processes_of_run(folder: str) -> list[tuple[int, str]]:
    """Returns the ids and command lines of the processes that a run started, whatever their parents are now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # the process has ended
        if folder.encode() in command + environment:
            found.append((int(process.name), command.decode(errors="replace").replace("\0", " ")))
    return found


def start(pages: Pages, ready_file: Path, *arguments: str) -> Stack:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "up", "--ready-file", str(ready_file), "--allow", pages.host, *arguments],
        cwd=PROJECT,
        stdout=(output := ready_file.with_suffix(".out").open("wb")),
        stderr=subprocess.STDOUT,
    )
    output.close()
    deadline = time.monotonic() + 120
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail("the stack did not start:\n" + ready_file.with_suffix(".out").read_text()[-3000:])
        time.sleep(0.1)
    stack = Stack(json.loads(ready_file.read_text()), process, pages)
    ENDPOINTS[stack.endpoint] = str(stack.ready["api_key"])
    return stack


def stop(stack: Stack) -> None:
    """Ends a stack with SIGTERM, as a supervisor does, and checks that no process of it is left."""
    del ENDPOINTS[stack.endpoint]
    stack.process.terminate()
    assert stack.process.wait(PATIENCE) == 0
    assert processes_of_run(stack.folder) == []


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


@pytest.fixture(scope="session")
def stack(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    parameters = ("--param", "RetryDelays=1,2", "--param", f"Renders={RENDERS}")
    stack = start(pages, tmp_path_factory.mktemp("stack") / "ready.json", *parameters)
    yield stack
    stop(stack)


def kill(pid: int) -> None:
    os.kill(pid, 9)
