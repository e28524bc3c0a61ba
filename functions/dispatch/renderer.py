"""Invokes `render` for one job and waits for what comes back."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from urlshot.errors import Broken, Transient
from urlshot.jobs import RenderAnswer, RenderJob

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient


def lambda_client(render_timeout: float, pool: int) -> LambdaClient:
    """A Lambda client that invokes once.

    botocore's defaults (60 s, three attempts, a pool of 10) would invoke a slow render again and again.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=render_timeout + 10,
        retries={"total_max_attempts": 1},
        max_pool_connections=pool,
        tcp_keepalive=True,
    )
    return boto3.client("lambda", config=config)


class Renderer:
    """Safe to share between threads."""

    def __init__(self, function: str, client: LambdaClient) -> None:
        self._function = function
        self._lambda = client

    def render(self, job: RenderJob, throttle_seconds: float) -> RenderAnswer:
        """Renders one job; while all renderers are busy, waits for up to `throttle_seconds`.

        Raises:
            Transient: `throttled` (no attempt was used), `timeout` or `crash` (one was), `connection_failed` when
                Lambda does not answer. Broken: Lambda refuses, or `render` answers what it must not.
        """
        payload = job.model_dump_json().encode()
        deadline, pause = time.monotonic() + throttle_seconds, 0.2
        while True:
            try:
                answer = self._lambda.invoke(FunctionName=self._function, Payload=payload)
                break
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code not in ("TooManyRequestsException", "ServiceException", "EC2ThrottledException"):
                    raise Broken(f"invoke {self._function}: {code}") from error
                if time.monotonic() >= deadline:
                    raise Transient("throttled", internal=code) from error
                time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - Lambda has nothing to wait on
                pause = min(pause * 2, 2.0)
            except BotoCoreError as error:
                raise Transient("crash", "The renderer did not answer.", internal=repr(error)) from error
        return _read(answer["Payload"].read(), answer.get("FunctionError"))


def _read(payload: bytes, function_error: str | None) -> RenderAnswer:
    value: Any = json.loads(payload or b"null")
    if function_error is None:
        try:
            return RenderAnswer.model_validate(value)
        except ValidationError as error:
            raise Broken(f"render answered what it must not: {error}") from error
    kind = str(value.get("errorType", "")) if isinstance(value, dict) else ""
    text = str(value.get("errorMessage", ""))[:500] if isinstance(value, dict) else ""
    if "Timedout" in kind or "Task timed out" in text:
        raise Transient("timeout", "The renderer ran out of time.", internal=f"{kind}: {text}")
    raise Transient("crash", internal=f"{kind}: {text}")
