"""`dispatch` decides alike about the errors of the simulated Lambda and about those that botocore has from a server.

What counts is whether Lambda may have the job: only then may its slot stay taken, and never is a job sent twice.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from functions.dispatch.invoke import Renderer, lambda_client
from tests.conformance.calls import Caller, Client
from tests.conformance.lambdas import job
from tests.simulation.lambdas import FUNCTION, INVOKE_FAULTS, SimulatedLambda
from tests.simulation.s3 import SimulatedS3
from urlshot.core.errors import Broken, Transient
from urlshot.core.render_contract import RenderJob

JOB = RenderJob.model_validate(job("done"))
FAULTS: dict[str, tuple[type[Exception] | None, int]] = {
    "": (None, 1),
    "throttled": (Transient, 0),
    "broken": (Transient, 0),
    "refused": (Broken, 0),
    "no connection": (Transient, 0),
    "answer lost": (None, 1),
}
"""The error that `dispatch` has, and how many events Lambda has."""
ANSWERS = {
    "": (202, ""),
    "throttled": (429, "TooManyRequestsException"),
    "broken": (500, "ServiceException"),
    "refused": (413, "RequestTooLargeException"),
}
"""The status and the type of the error, from Lambda's API reference."""


@contextmanager
def simulated(fault: str) -> Iterator[tuple[Any, Callable[[], int]]]:
    caller = Caller({"test/fault/0": INVOKE_FAULTS.index(fault) + 1} if fault else {})
    s3 = SimulatedS3(caller.kernel, lambda *_: None)
    service = SimulatedLambda(caller.kernel, s3, lambda *_: None, lambda *_: None, same_bytes=False)
    yield Client(caller, service), lambda: service._invoked


@contextmanager
def served(fault: str) -> Iterator[tuple[Any, Callable[[], int]]]:
    """Gives the product's client for a server with a fault, and a function that counts the accepted events."""
    requests: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            if fault == "answer lost":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, kind = ANSWERS[fault]
            self.send_response(status)
            if kind:
                self.send_header("x-amzn-ErrorType", kind)
            body = json.dumps({"message": kind}).encode() if kind else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Prints nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    settings = {
        "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        client = lambda_client(1)
    thread = Thread(target=server.serve_forever, daemon=True)
    if fault == "no connection":
        server.server_close()
    else:
        thread.start()
    try:
        yield client, lambda: len(requests) if fault in ("", "answer lost") else 0
        assert len(requests) == (fault != "no connection"), "a repeated request could start a second render"
    finally:
        if fault != "no connection":
            server.shutdown()
            server.server_close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("begin", [simulated, served])
def test_hand_over_meets_a_fault(begin: Callable[[str], Any], fault: str) -> None:
    error, accepted = FAULTS[fault]
    with begin(fault) as (client, events):
        found = None
        try:
            Renderer(FUNCTION, client).hand_over(JOB)
        except (Transient, Broken) as raised:
            found = type(raised)
        assert (found, events()) == (error, accepted)
