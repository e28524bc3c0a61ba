"""Asynchronous invocation: events that Lambda has accepted, until they are handled or given up; then their records.

An event waits until an instance comes free, in order of arrival. (Lambda asks again in growing intervals, and keeps the
order only roughly.) A function error costs an attempt. Waiting costs none, and ends when the event is too old. The
record of an event that has ended goes to the function's destination.

Source: "How Lambda handles errors and retries with asynchronous invocation", "Capturing records of Lambda
asynchronous invocations" and "Lambda quotas" in the Lambda developer guide. The guide shows the record after the last
retry. Other records follow reports of users: no `functionError` after success, no response if there was no attempt,
`ZeroReservedConcurrency` for a function that may not run at all. The guide says that a record over the destination's
limit is not delivered; for a function that is the limit of an asynchronous event.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.local.functions.function import Function
from infra.local.functions.instance import Answer
from infra.local.template.addresses import function_arn
from infra.local.template.model import Asynchronous

ASYNC_LIMIT = 1024 * 1024  # bytes of an event, and so of a record that goes to a function (256 KB until October 2025)
# Lambda waits one minute before the first retry and two before the second. A person at one machine waits for it.
RETRY_SECONDS = (1.0, 2.0)
# After an error of the system itself Lambda waits a second, then longer each time, up to five minutes.
SYSTEM_RETRY_SECONDS = (1.0, 300.0)
SUCCESS, RETRIES_EXHAUSTED, AGE_EXCEEDED = "Success", "RetriesExhausted", "EventAgeExceeded"
ZERO_CONCURRENCY = "ZeroReservedConcurrency"


class UnknownFunction(Exception):
    """No function of that name."""


class TooLarge(Exception):
    """The event is larger than Lambda takes; the text names the limit."""


class NotDelivered(Exception):
    """A queue did not take a record; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """How an event ended. `answer` is that of the last attempt, None when there was none."""

    function: str
    request_id: str
    payload: bytes
    condition: str
    attempts: int
    answer: Answer | None


class AsyncEvents:
    """The events of all functions.

    functions  by name
    settings   of the functions that have their own, by name
    to_queue   puts a text into the SQS queue with this ARN; raises `NotDelivered`
    listener   takes a function's name and a line for its log
    say        takes a line for people
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        settings: Mapping[str, Asynchronous],
        *,
        to_queue: Callable[[str, str], Awaitable[None]],
        listener: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._functions = functions
        self._settings = settings
        self._to_queue = to_queue
        self._listener = listener
        self._say = say
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, name: str, payload: bytes) -> str:
        """Takes an event, whether an instance is free or not; its request id. Errors: `UnknownFunction`, `TooLarge`."""
        if name not in self._functions:
            raise UnknownFunction(name)
        if len(payload) > ASYNC_LIMIT:
            raise TooLarge(f"Request must be smaller than {ASYNC_LIMIT} bytes for the InvokeFunction operation")
        request_id = str(uuid.uuid4())
        task = asyncio.ensure_future(self._handle(name, payload, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return request_id

    async def end(self) -> None:
        """Drops every event that has not ended."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"an asynchronous event is lost by a fault of the local stack: {error!r}")

    async def _handle(self, name: str, payload: bytes, request_id: str) -> None:
        settings = self._settings.get(name, Asynchronous())
        outcome = await self._attempt(settings, name, payload, request_id)
        if outcome.condition != SUCCESS:
            self._listener(name, json.dumps(_note(outcome)))
        destination = settings.on_success if outcome.condition == SUCCESS else settings.on_failure
        if destination is None:
            return
        record = invocation_record(outcome)
        try:
            if destination.kind == "Lambda":
                self.accept(destination.target, record)
            else:
                await self._to_queue(destination.target, record.decode())
        except (TooLarge, NotDelivered) as error:
            self._say(
                f"{name}: the record of event {request_id} ({outcome.condition}, {len(record)} bytes) did not reach"
                f" {destination.target}: {error}"
            )

    async def _attempt(self, settings: Asynchronous, name: str, payload: bytes, request_id: str) -> Outcome:
        """Runs the event until it succeeds, fails too often or is too old."""
        function, loop = self._functions[name], asyncio.get_running_loop()
        expires = loop.time() + settings.max_age
        attempts, pause, system_pause = 0, 0.0, SYSTEM_RETRY_SECONDS[0]
        answer: Answer | None = None

        def ended(condition: str) -> Outcome:
            return Outcome(name, request_id, payload, condition, attempts, answer)

        if function.limit == 0:
            return ended(ZERO_CONCURRENCY)
        while True:
            try:
                async with asyncio.timeout_at(expires):
                    if pause:
                        await asyncio.sleep(pause)
                    instance = await function.take_in_turn()
            except TimeoutError:
                return ended(AGE_EXCEEDED)
            try:
                answer = await function.run(instance, payload, request_id)
            except OSError as error:
                self._say(f"{name}: no instance can be started: {error}; event {request_id} waits {system_pause:g} s")
                pause, system_pause = system_pause, min(2 * system_pause, SYSTEM_RETRY_SECONDS[1])
                continue
            attempts += 1
            if answer.error is None:
                return ended(SUCCESS)
            if attempts > settings.retries:
                return ended(RETRIES_EXHAUSTED)
            pause = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]


def invocation_record(outcome: Outcome) -> bytes:
    """The JSON that a destination gets."""
    head: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "requestContext": {
            "requestId": outcome.request_id,
            "functionArn": function_arn(outcome.function) + ":$LATEST",
            "condition": outcome.condition,
            "approximateInvokeCount": outcome.attempts,
        },
    }
    # Payloads go in byte for byte: written anew they could be longer, and too long for the destination.
    parts = [json.dumps(head)[:-1].encode(), b', "requestPayload": ', outcome.payload]
    if outcome.answer is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
        if outcome.answer.error is not None:
            context["functionError"] = outcome.answer.error
        parts += [b', "responseContext": ', json.dumps(context).encode()]
        parts += [b', "responsePayload": ', outcome.answer.payload]
    return b"".join((*parts, b"}"))


def _note(outcome: Outcome) -> dict[str, Any]:
    """A line in the function's log about an event that was given up."""
    note: dict[str, Any] = {
        "type": "local.undelivered",
        "requestId": outcome.request_id,
        "condition": outcome.condition,
        "attempts": outcome.attempts,
    }
    if outcome.answer is not None and outcome.answer.error is not None:
        note["error"] = outcome.answer.payload.decode("utf-8", "replace")[:2000]
    return note
