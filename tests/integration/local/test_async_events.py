"""Tests that asynchronous events are queued, retried, given up and recorded at destinations, as Lambda does it."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local.functions.lambdas import Lambdas
from infra.local.template.model import Asynchronous, Destination

SETTLE = Destination("Lambda", "Settle")
BOTH = Asynchronous(retries=0, on_success=SETTLE, on_failure=SETTLE)
OTHERS = {"Settle": "probe.destination", "End": "probe.destination"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.functions.async_events.RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.setattr("infra.local.functions.async_events.SYSTEM_RETRY_SECONDS", (0.01, 0.02))


def send(lambdas: Lambdas, name: str = "Probe", **event: Any) -> str:
    return lambdas.invoke_async(name, json.dumps(event).encode())


async def record(harness: Any, function: str = "Settle") -> dict[str, Any]:
    """Returns the next record that the function gets, and skips lines about events that were given up."""
    while True:
        name, printed = await harness.next_printed()
        if name == function and "requestContext" in printed:
            return dict(printed)


Hold = Callable[[Lambdas], Awaitable[Callable[[], None]]]


@pytest.fixture
def hold(harness: Any, tmp_path: Path) -> Iterator[Hold]:
    """Returns a function that keeps an instance of Probe busy, and returns another one that releases the instance."""
    pipe, cleaning = tmp_path / "pipe", ExitStack()
    os.mkfifo(pipe)

    async def begin(lambdas: Lambdas) -> Callable[[], None]:
        writer = os.fdopen(os.open(pipe, os.O_RDWR), "wb")
        cleaning.callback(writer.close)
        payload = json.dumps({"do": "hold", "pipe": str(pipe)}).encode()
        busy = asyncio.ensure_future(lambdas.invoke("Probe", payload))
        cleaning.callback(busy.cancel)
        assert await harness.next_printed() == ("Probe", {"holds": str(pipe)})
        return writer.close

    yield begin
    cleaning.close()


async def test_success_is_recorded_in_lambdas_format(harness: Any) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH})
    request_id = send(lambdas, do="sleep", seconds=0, text="Zo\u00eb")
    found = await record(harness)
    assert found["version"] == "1.0"
    assert found["timestamp"].endswith("Z") and len(found["timestamp"]) == len("2026-01-02T03:04:05.678Z")
    assert found["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:Probe:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert found["requestPayload"] == {"do": "sleep", "seconds": 0, "text": "Zo\u00eb"}
    assert found["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert list(found["responsePayload"]) == ["pid"]


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"do": "fail"}, "ValueError", "as told"),
        ({"do": "crash", "code": 7}, "Runtime.ExitError", "exit status 7"),
        ({"do": "kill", "signal": 9}, "Runtime.ExitError", "signal: killed"),
        ({"do": "sleep", "seconds": 60}, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ],
)
async def test_function_error_is_recorded(harness: Any, event: dict[str, Any], kind: str, message: str) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH}, timeout=1.0)
    request_id = send(lambdas, **event)
    found = await record(harness)
    assert found["requestContext"]["requestId"] == request_id
    assert found["requestContext"]["condition"] == "RetriesExhausted"
    assert found["requestContext"]["approximateInvokeCount"] == 1
    assert found["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert found["responsePayload"]["errorType"] == kind
    assert message in found["responsePayload"]["errorMessage"]


async def test_init_error_counts_as_an_attempt(harness: Any) -> None:
    lambdas = harness.lambdas("broken.handler", others=OTHERS, asynchronous={"Probe": replace(BOTH, retries=1)})
    send(lambdas)
    found = await record(harness)
    assert found["requestContext"]["approximateInvokeCount"] == 2
    assert found["responsePayload"]["errorMessage"] == "not today"


@pytest.mark.parametrize(
    ("retries", "condition", "attempts"), [(2, "Success", 3), (1, "RetriesExhausted", 2), (0, "RetriesExhausted", 1)]
)
async def test_failed_event_is_attempted_again(
    harness: Any, tmp_path: Path, retries: int, condition: str, attempts: int
) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": replace(BOTH, retries=retries)})
    send(lambdas, do="count", file=str(tmp_path / "count"), failures=2)
    context = (await record(harness))["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == (condition, attempts)
    assert (tmp_path / "count").read_text("utf-8") == str(attempts)


async def test_throttled_event_is_given_up_at_its_maximum_age(harness: Any, hold: Hold, tmp_path: Path) -> None:
    lambdas = harness.lambdas(limit=1, others=OTHERS, asynchronous={"Probe": replace(BOTH, max_age=0.2)})
    release = await hold(lambdas)
    send(lambdas, do="count", file=str(tmp_path / "count"), failures=0)
    found = await record(harness)
    release()
    assert found["requestContext"]["condition"] == "EventAgeExceeded"
    assert found["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in found and "responsePayload" not in found
    assert (await lambdas.invoke_in_turn("Probe", b"{}")).error is None
    assert not (tmp_path / "count").exists()  # the instance is free, and the event does not come back


async def test_event_too_old_for_its_retry_is_recorded_with_its_last_error(
    harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.functions.async_events.RETRY_SECONDS", (60.0,))
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": replace(BOTH, retries=2, max_age=0.5)})
    send(lambdas, do="fail")
    found = await record(harness)
    assert found["requestContext"]["condition"] == "EventAgeExceeded"
    assert found["requestContext"]["approximateInvokeCount"] == 1
    assert found["responsePayload"]["errorType"] == "ValueError"


async def test_throttled_events_use_no_attempt_and_run_in_order(harness: Any, hold: Hold) -> None:
    lambdas = harness.lambdas(limit=1, others=OTHERS, asynchronous={"Probe": BOTH})
    release = await hold(lambdas)
    for n in range(4):
        send(lambdas, do="echo", n=n)
    release()
    found = [await record(harness) for _ in range(4)]
    assert [one["requestPayload"]["n"] for one in found] == [0, 1, 2, 3]
    assert {one["requestContext"]["approximateInvokeCount"] for one in found} == {1}


async def test_event_of_a_function_with_zero_concurrency_is_given_up(harness: Any) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH})
    lambdas.functions["Probe"].limit = 0
    send(lambdas)
    context = (await record(harness))["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)


async def test_failed_destination_is_attempted_again(harness: Any, tmp_path: Path) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH, "Settle": Asynchronous(retries=1)})
    send(lambdas, then={"file": str(tmp_path / "count"), "failures": 9})
    first, second = await record(harness), await record(harness)
    assert first == second
    name, note = await harness.next_printed()
    assert (name, note["type"], note["attempts"]) == ("Settle", "local.undelivered", 2)
    assert (tmp_path / "count").read_text("utf-8") == "2"


async def test_destination_may_have_a_destination(harness: Any) -> None:
    chain = Asynchronous(on_success=Destination("Lambda", "End"))
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH, "Settle": chain})
    request_id = send(lambdas)
    found = await record(harness, "End")
    assert found["requestPayload"]["requestContext"]["requestId"] == request_id
    assert found["requestContext"]["requestId"] != request_id
    assert found["requestContext"]["functionArn"].endswith(":function:Settle:$LATEST")
    assert found["responsePayload"] == "settled"


async def test_record_reaches_only_the_destination_of_its_outcome(harness: Any) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:letters"
    split = Asynchronous(retries=0, on_success=SETTLE, on_failure=Destination("SQS", queue))
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": split})
    failed = send(lambdas, do="fail")
    await harness.next_printed()  # the line about the event that was given up
    succeeded = send(lambdas)
    assert (await record(harness))["requestContext"]["requestId"] == succeeded
    [(arn, letter)] = harness.queued
    assert (arn, letter["requestContext"]["requestId"]) == (queue, failed)


async def test_record_over_the_limit_is_reported_and_not_delivered(harness: Any) -> None:
    lambdas = harness.lambdas(others=OTHERS, asynchronous={"Probe": BOTH})
    request_id = send(lambdas, do="big", bytes=1024 * 1024)
    said = await harness.next_said()
    assert request_id in said and "did not reach Settle" in said and "smaller than 1048576 bytes" in said
    assert not lambdas.functions["Settle"].instances


async def test_instance_that_cannot_start_uses_no_attempt(harness: Any, tmp_path: Path) -> None:
    env = tmp_path / "env"
    lambdas = harness.lambdas(command=[env], others=OTHERS, asynchronous={"Probe": BOTH})
    send(lambdas)
    assert "no instance can be started" in await harness.next_said()
    env.write_text(f"#!{sys.executable} -SE\nimport os, sys\nos.execv(sys.argv[1], sys.argv[1:])\n", "utf-8")
    env.chmod(0o700)
    assert (await record(harness))["requestContext"]["approximateInvokeCount"] == 1


async def test_end_of_the_stack_drops_waiting_events(harness: Any, hold: Hold) -> None:
    lambdas = harness.lambdas(limit=1, others=OTHERS, asynchronous={"Probe": BOTH})
    release = await hold(lambdas)
    send(lambdas)
    await asyncio.wait_for(lambdas.end(), 30)
    release()
    assert harness.printed.empty()
