"""Stands in for CloudFormation, and sets up the secrets that the topology function reads."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.topology.app import handler
from functions.topology.cloudformation import PHYSICAL_ID
from tests.integration.conftest import ADMIN, API, DISPATCH, RENDER_TIMEOUT, SETTLE, WATCH
from urlshot.adapters.secrets import Credentials

USERS = {"ADMIN": ADMIN, "API": API, "DISPATCH": DISPATCH, "SETTLE": SETTLE, "WATCH": WATCH}


class CloudFormation:
    """Sends requests to the topology function, and receives the answers that it PUTs to the request's URL."""

    def __init__(self, url: str, answers: list[dict[str, Any]], environment: pytest.MonkeyPatch) -> None:
        self._url = url
        self._answers = answers
        self._secrets = f"urlshot-{uuid.uuid4().hex}"
        for name, user in USERS.items():
            secret = boto3.client("secretsmanager").create_secret(
                Name=f"{self._secrets}-{name}", SecretString=self._text(user)
            )
            environment.setenv(f"BROKER_{name}_SECRET", secret["ARN"])

    def set_password(self, name: str, user: Credentials) -> None:
        boto3.client("secretsmanager").put_secret_value(
            SecretId=f"{self._secrets}-{name}", SecretString=self._text(user)
        )

    def request(self, kind: str, *, seconds: float = 900, **properties: object) -> dict[str, Any]:
        """Sends one request as CloudFormation does, and returns the function's one answer.

        Args:
            kind: `Create`, `Update` or `Delete`.
            seconds: How much time the function has left.
            properties: Changes of the resource's properties.
        """
        given = {
            "RetryDelays": "1,2",
            "RenderTimeout": RENDER_TIMEOUT,
            "QueueLimit": 1000,
            "BrokerConnections": 1000,
            **properties,
        }
        event = {
            "RequestType": kind,
            "ResponseURL": self._url,
            "StackId": "stack",
            "RequestId": uuid.uuid4().hex,
            "LogicalResourceId": "Topology",
            "ResourceProperties": {"ServiceToken": "arn", **{name: str(value) for name, value in given.items()}},
            **({} if kind == "Create" else {"PhysicalResourceId": PHYSICAL_ID}),
        }
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds * 1000), log_stream_name="stream")
        handler(event, cast("LambdaContext", context))
        [answer] = self._answers
        self._answers.clear()
        same = ("StackId", "RequestId", "LogicalResourceId")
        assert {name: answer[name] for name in same} == {name: event[name] for name in same}
        assert answer["PhysicalResourceId"] == PHYSICAL_ID
        assert len(json.dumps(answer)) < 4096
        return answer

    def update(self, **properties: object) -> None:
        answer = self.request("Update", **properties)
        assert answer["Status"] == "SUCCESS", answer["Reason"]

    @staticmethod
    def _text(user: Credentials) -> str:
        return json.dumps({"username": user.username, "password": user.password})


@contextmanager
def cloudformation(console: str, environment: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """Gives a stack whose broker has its management API at `console`."""
    environment.setenv("BROKER_CONSOLE", console)
    answers: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield CloudFormation(f"http://127.0.0.1:{server.server_port}/answer?signature=x", answers, environment)
    finally:
        server.shutdown()
        server.server_close()
