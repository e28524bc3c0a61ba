"""Tests that the topology function always answers CloudFormation in time, with a reason and advice on failure."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from functions.topology import management
from functions.topology.cloudformation import OutOfTime, answer, limited
from infra.local.broker.rabbitmq import Rabbit
from tests.integration.conftest import ADMIN
from tests.integration.custom_resource import USERS, CloudFormation, cloudformation
from urlshot.adapters.secrets import Credentials


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Quoting(BaseHTTPRequestHandler):
    """A broker that refuses to create users, and quotes the request in its answer."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(400 if "/users/" in self.path else 204, body)

    def do_POST(self) -> None:
        self.do_PUT()

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        if status == 204:
            body = ""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


class Maintained(Quoting):
    """A proxy that answers with its own page while the broker behind it is replaced."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, "<html>Back soon</html>")


def failed(stack: CloudFormation, *, seconds: float = 900, **properties: object) -> str:
    """Requests a creation that must fail, and returns the reason."""
    answer = stack.request("Create", seconds=seconds, **properties)
    assert answer["Status"] == "FAILED"
    return str(answer["Reason"])


def test_silent_broker_does_not_keep_cloudformation_waiting(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with cloudformation(url, monkeypatch) as stack:
            began = time.monotonic()
            reason = failed(stack, seconds=30.5)
    assert time.monotonic() - began < 5
    assert "Not done after" in reason
    assert "update the stack again" in reason


@pytest.mark.parametrize("handler", [None, Maintained])
def test_unreachable_broker_is_named_after_the_time_limit(
    aws: str, monkeypatch: pytest.MonkeyPatch, handler: type[BaseHTTPRequestHandler] | None
) -> None:
    monkeypatch.setattr(management, "PATIENCE_SECONDS", 1.0)
    with served(handler or Quoting) as url:
        if handler:
            with cloudformation(url, monkeypatch) as stack:
                reason = failed(stack)
    if not handler:  # nothing listens at the URL any more
        with cloudformation(url, monkeypatch) as stack:
            reason = failed(stack)
    assert f"The broker's management API at {url} did not answer for 1 s" in reason
    assert "update the stack again" in reason


def test_changed_administrator_secret_fails_with_advice(
    topology: Rabbit, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloudformation(topology.console, monkeypatch) as stack:
        stack.set_password("ADMIN", Credentials(ADMIN.username, "not-the-password"))
        reason = failed(stack)
    assert reason.startswith("The broker refuses PUT /api/exchanges/%2F/shot_direct")
    assert "put the old password back" in reason
    assert "not-the-password" not in reason


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"RenderTimeout": 0}, "The property RenderTimeout: "), ({"RetryDelays": "5,x"}, "The property RetryDelays: ")],
)
def test_wrong_property_is_named(
    aws: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object], reason: str
) -> None:
    with cloudformation("http://127.0.0.1:1", monkeypatch) as stack:
        assert failed(stack, **wrong).startswith(reason)


def test_missing_secret_is_named(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloudformation("http://127.0.0.1:1", monkeypatch) as stack:
        monkeypatch.setenv("BROKER_WATCH_SECRET", "gone")
        assert failed(stack).startswith("secret gone: ResourceNotFoundException")


def test_delete_needs_no_broker(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloudformation("http://127.0.0.1:1", monkeypatch) as stack:
        assert stack.request("Delete")["Status"] == "SUCCESS"


def test_reason_and_log_hold_no_password(
    aws: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(Quoting) as url, cloudformation(url, monkeypatch) as stack:
        reason = failed(stack)
    assert "The broker refuses PUT /api/users/urlshot_api: 400" in reason
    log = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "The broker refuses PUT /api/users/urlshot_api: 400" in log
    assert not [user for user in USERS.values() if user.password in reason + log]


def test_answer_that_does_not_arrive_is_sent_again() -> None:
    arrived: list[dict[str, Any]] = []

    class Moody(Quoting):
        def do_PUT(self) -> None:
            arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(200 if len(arrived) > 1 else 503, "")

    event = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
    with served(Moody) as url:
        answer({**event, "ResponseURL": url}, "SUCCESS", "")
    assert [one["Status"] for one in arrived] == ["SUCCESS", "SUCCESS"]


def test_time_limit_interrupts_work_and_restores_an_earlier_timer() -> None:
    rang: list[int] = []
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(OutOfTime), limited(0.05):
            time.sleep(5)
        time.sleep(0.6)
        assert rang == [1]
    finally:
        signal.signal(signal.SIGALRM, before[0])
        signal.setitimer(signal.ITIMER_REAL, *before[1])
