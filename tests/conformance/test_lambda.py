"""The simulated Lambda and the local one accept events alike, and send records of the same shape to `settle`.

Lambda's own rules are in the Lambda developer guide: "How Lambda handles errors and retries with asynchronous
invocation" and "Capturing records of Lambda asynchronous invocations".
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.dispatch.invoke import Renderer
from functions.settle.invocation import Invocation, read
from infra.local.functions import async_events
from tests.conformance.lambdas import Functions, Record, functions, job
from urlshot.core.errors import Broken
from urlshot.core.render_contract import RenderJob

pytestmark = pytest.mark.parametrize("kind", ["simulated", "local"])


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_events, "RETRY_SECONDS", (0.01, 0.01))


async def send(lambdas: Functions, host: str) -> str:
    """Invokes `render` asynchronously, checks the answer, and returns the id of the request."""
    payload = json.dumps(job(host)).encode()
    answer = await lambdas.invoke(FunctionName=lambdas.name, InvocationType="Event", Payload=payload)
    assert answer["StatusCode"] == answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert "FunctionError" not in answer
    return str(answer["ResponseMetadata"]["RequestId"])


async def test_each_event_has_its_own_request_id(kind: str, tmp_path: Path) -> None:
    async with functions(kind, tmp_path, "done", "done") as lambdas:
        ids = [await send(lambdas, "done") for _ in range(2)]
        records = [await lambdas.record() for _ in range(2)]
    assert len({str(uuid.UUID(one)) for one in ids}) == 2
    assert sorted(one["requestContext"]["requestId"] for one in records) == sorted(ids)


def judge(record: Record) -> tuple[bool, str]:
    """Returns whether `render` started, and the code of its error, as `settle` reads them from the record."""
    invocation: Invocation = read(record)
    return invocation.started, invocation.error.code.name if invocation.error is not None else ""


def check_head(record: Record, host: str, request_id: str, condition: str, attempts: int) -> None:
    """Checks all of a record but the response."""
    assert record["version"] == "1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    datetime.fromisoformat(record["timestamp"])
    context = dict(record["requestContext"])
    assert re.fullmatch(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:\w+:\$LATEST", context.pop("functionArn"))
    assert context == {"requestId": request_id, "condition": condition, "approximateInvokeCount": attempts}
    assert record["requestPayload"] == job(host)


@pytest.mark.parametrize(("host", "code"), [("done", ""), ("failed", "connection_failed")])
async def test_answer_of_the_function_is_recorded(kind: str, tmp_path: Path, host: str, code: str) -> None:
    async with functions(kind, tmp_path, host) as lambdas:
        request_id = await send(lambdas, host)
        record = await lambdas.record()
    check_head(record, host, request_id, "Success", 1)
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"].keys() == {"version", "id", "generation", "error"} if code else {
        "version", "id", "generation", "report", "etag"
    }  # fmt: skip
    assert judge(record) == (True, code)


CRASHED = "RequestId: {} Error: Runtime exited with error: exit status 1"
TIMED_OUT = r"RequestId: {} Error: Task timed out after \d+\.00 seconds"


@pytest.mark.parametrize(
    ("host", "kind_of_error", "message", "more", "code"),
    [
        ("crash", "Runtime.ExitError", CRASHED, set(), "crash"),
        ("time-out", "Sandbox.Timedout", TIMED_OUT, set(), "timeout"),
        ("internal", "KeyError", "'key'", {"requestId", "stackTrace"}, "internal"),
    ],
)
async def test_function_error_is_recorded_after_one_attempt(
    kind: str, tmp_path: Path, host: str, kind_of_error: str, message: str, more: set[str], code: str
) -> None:
    async with functions(kind, tmp_path, host) as lambdas:
        request_id = await send(lambdas, host)
        record = await lambdas.record()
    check_head(record, host, request_id, "RetriesExhausted", 1)
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    payload = record["responsePayload"]
    assert payload.keys() == {"errorType", "errorMessage"} | more
    assert payload["errorType"] == kind_of_error
    assert re.fullmatch(message.format(request_id), payload["errorMessage"])
    assert payload.get("requestId", request_id) == request_id
    assert isinstance(payload.get("stackTrace", []), list)
    assert judge(record) == (True, code)


async def test_event_that_is_too_old_is_recorded_without_a_response(kind: str, tmp_path: Path) -> None:
    async with functions(kind, tmp_path, "too old") as lambdas:
        request_id = await send(lambdas, "too old")
        record = await lambdas.record()
    check_head(record, "too old", request_id, "EventAgeExceeded", 0)
    assert record.keys() == {"version", "timestamp", "requestContext", "requestPayload"}
    assert judge(record) == (False, "")


async def test_destination_that_fails_is_called_three_times_with_one_record(kind: str, tmp_path: Path) -> None:
    async with functions(kind, tmp_path, "unsettled") as lambdas:
        request_id = await send(lambdas, "unsettled")
        first = await lambdas.record()
        assert await lambdas.rest() == [first, first]
    check_head(first, "unsettled", request_id, "Success", 1)


REFUSALS: dict[str, tuple[dict[str, Any], str, int]] = {
    "unknown function": ({"FunctionName": "nobody"}, "ResourceNotFoundException", 404),
    "too large": ({"Payload": json.dumps("x" * 1024 * 1024).encode()}, "RequestTooLargeException", 413),
    "not JSON": ({"Payload": b"{"}, "InvalidRequestContentException", 400),
}


@pytest.mark.parametrize(("change", "code", "status"), REFUSALS.values(), ids=list(REFUSALS))
async def test_invocation_is_refused(kind: str, tmp_path: Path, change: dict[str, Any], code: str, status: int) -> None:
    async with functions(kind, tmp_path) as lambdas:
        arguments = {"FunctionName": lambdas.name, "InvocationType": "Event", "Payload": b"{}", **change}
        with pytest.raises(ClientError) as refused:
            await lambdas.invoke(**arguments)
    answer: Any = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert refused.value.operation_name == "Invoke"


async def test_dispatch_hands_a_job_over_and_learns_of_a_refusal(kind: str, tmp_path: Path) -> None:
    render_job = RenderJob.model_validate(job("done"))
    async with functions(kind, tmp_path, "done") as lambdas:
        client = await lambdas.client()

        async def hand_over(name: str) -> None:
            if kind == "simulated":  # its kernel runs in this thread only
                Renderer(name, client).hand_over(render_job)
            else:
                await asyncio.to_thread(Renderer(name, client).hand_over, render_job)

        await hand_over(lambdas.name)
        record = await lambdas.record()
        with pytest.raises(Broken):
            await hand_over("nobody")
    assert read(record).job == render_job
