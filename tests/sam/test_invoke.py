"""`sam local` runs each function from the built artefacts, beside a running local stack."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from infra.local.host.ports import PortReservation
from infra.local.host.relay import bridge_address
from infra.local.settings import PROJECT
from tests.e2e.conftest import Stack, call, eventually
from tests.sam.conftest import EVENTS, Invoke, event, sam_environment, sam_local
from urlshot.core.messages import DEAD

pytestmark = pytest.mark.timeout(300)


def test_every_function_has_an_event() -> None:
    functions = {file.parent.name for file in (PROJECT / "functions").glob("*/app.py")}
    assert {file.stem for file in EVENTS.glob("*.json")} == functions


def test_render_needs_no_other_service(invoke: Invoke) -> None:
    answer = invoke("RenderFunction", event("render"))
    assert base64.b64decode(answer["pdf"]).startswith(b"%PDF-")
    assert answer["report"]["verdict"] == "complete"


def test_api_answers(invoke: Invoke, stack: Stack) -> None:
    answer = invoke("ApiFunction", event("api"))
    assert (answer["statusCode"], json.loads(answer["body"])["checks"]) == (200, {"queue": "ok", "storage": "ok"})


def test_dispatch_handles_a_message(invoke: Invoke, stack: Stack) -> None:
    """The message's URL is forbidden, so the message goes to the dead queue immediately."""
    given = event("dispatch")
    [(queue, [message])] = given["rmqMessagesByQueue"].items()
    data = base64.b64encode(b'{"url": "http://10.0.0.1/"}').decode()
    given["rmqMessagesByQueue"] = {queue: [{**message, "data": data}]}
    assert invoke("DispatchFunction", given) == {"dead": 1}
    channel = stack.channel()
    letter = channel.basic_get(DEAD, no_ack=True)
    assert letter is not None and b"10.0.0.1" in letter.body
    channel.connection.close()


def test_settle_drops_the_result_of_an_unknown_job(invoke: Invoke, stack: Stack) -> None:
    assert invoke("SettleFunction", event("settle")) == {"outcome": "dropped"}


@pytest.mark.parametrize("name", ["Log", "Metric", "Watch"])
def test_function_without_an_answer_succeeds(invoke: Invoke, name: str) -> None:
    assert invoke(f"{name}Function", event(name.lower())) is None


def test_mail_is_sent(invoke: Invoke, stack: Stack) -> None:
    given = event("mail")
    assert invoke("MailFunction", given) is None
    [mail] = stack.mails(given["detail"]["id"])
    assert given["detail"]["url"] in mail


def test_callback_finds_no_subscriber(invoke: Invoke) -> None:
    assert invoke("CallbackFunction", event("callback")) == {"batchItemFailures": []}


@pytest.fixture
def cloudformation(image: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Starts a server for the answers of a custom resource; gives its URL and the list of received answers."""
    answers: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer((bridge_address(), 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://{server.server_address[0]}:{server.server_port}/", answers
    server.shutdown()
    server.server_close()


def test_topology_declares_and_answers(
    invoke: Invoke, stack: Stack, cloudformation: tuple[str, list[dict[str, Any]]]
) -> None:
    url, answers = cloudformation
    invoke("TopologyFunction", {**event("topology"), "ResponseURL": url})
    assert [answer["Status"] for answer in answers] == ["SUCCESS"], answers


def test_start_api_serves_the_endpoint(image: str, stack: Stack) -> None:
    port = PortReservation()
    command = sam_local(image, "start-api", "--port", str(port.port), variables=stack.ready["env_vars"])
    process = subprocess.Popen(
        command, cwd=PROJECT, env=sam_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        base = f"http://127.0.0.1:{port.port}"

        def healthy() -> bool:
            assert process.poll() is None
            try:
                return call("GET", f"{base}/health").status == 200
            except OSError:
                return False

        eventually(healthy, "an answer of sam local start-api", 120)
        page = call("GET", f"{base}/")
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        job = call("POST", f"{base}/pdf", {"url": "https://nowhere.example/"})
        assert job.status == 202, job.body
        assert stack.ended(job.json()["id"])["state"] == "failed"  # dispatch and render of the stack handled it
    finally:
        process.terminate()
        process.wait(30)
        port.release()
