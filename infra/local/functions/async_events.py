"""Runs asynchronous invocations: handles accepted events, retries them, and sends their records to destinations.

An event waits in order of arrival until an instance is free. (Lambda tries again at growing intervals, and keeps the
order only roughly.) A function error uses an attempt. Waiting uses none, and ends when the event is too old. When an
event has ended, its record goes to the function's destination.

Source: "How Lambda handles errors and retries with asynchronous invocation", "Capturing records of Lambda
asynchronous invocations" and "Lambda quotas" in the Lambda developer guide. The guide shows the record after the last
retry. Other records follow reports of users: no `functionError` after success, no response without an attempt, and
`ZeroReservedConcurrency` for a function with a reserved concurrency of 0. The guide says that records over the
destination's limit are not delivered; for a function, this is the limit of an asynchronous event.
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

ASYNC_LIMIT = 1024 * 1024  # bytes of an event, and of a record for a function (256 KB until October 2025)
# Lambda waits one minute before the first retry and two before the second, which is too long for a local user.
RETRY_SECONDS = (1.0, 2.0)
# After a system error, Lambda waits one second, then longer each time, up to five minutes.
SYSTEM_RETRY_SECONDS = (1.0, 300.0)
SUCCESS, RETRIES_EXHAUSTED, AGE_EXCEEDED = "Success", "RetriesExhausted", "EventAgeExceeded"
ZERO_CONCURRENCY = "ZeroReservedConcurrency"


class UnknownFunction(Exception):
    """Reports that no function has this name."""


class TooLarge(Exception):
    """Reports that an event is larger than Lambda's limit; the text has the limit."""


class NotDelivered(Exception):
    """Reports that a queue did not accept a message; the text has the reason."""


@dataclass(frozen=True)
class Outcome:
    """Describes how an event ended. `answer` is that of the last attempt; None if there was none."""

    function: str
    request_id: str
    payload: bytes
    condition: str
    attempts: int
    answer: Answer | None


class AsyncEvents:
    """Handles the asynchronous events of all functions.

    Args:
        functions: The functions, by name.
        settings: The settings of functions that do not have Lambda's defaults, by name.
        to_queue: Sends a text to the SQS queue with an ARN; raises `NotDelivered`.
        listener: Gets a function's name and a line for its log.
        say: Prints a line for the user.
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
        """Accepts an event, even if no instance is free.

        Returns:
            The id of the request.

        Raises:
            UnknownFunction: No function has this name.
            TooLarge: The event exceeds the limit.
        """
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
        """Drops all events that have not ended."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"the local stack lost an asynchronous event by an error of its own: {error!r}")

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
        """Runs an event until it succeeds, has failed too often, or is too old."""
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
    """Returns the record of an event for a destination, as JSON."""
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
    # Payloads are copied byte for byte: encoded again, they could become too long for the destination.
    parts = [json.dumps(head)[:-1].encode(), b', "requestPayload": ', outcome.payload]
    if outcome.answer is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
        if outcome.answer.error is not None:
            context["functionError"] = outcome.answer.error
        parts += [b', "responseContext": ', json.dumps(context).encode()]
        parts += [b', "responsePayload": ', outcome.answer.payload]
    return b"".join((*parts, b"}"))


def _note(outcome: Outcome) -> dict[str, Any]:
    """Returns the line for the function's log about an event that was given up."""
    note: dict[str, Any] = {
        "type": "local.undelivered",
        "requestId": outcome.request_id,
        "condition": outcome.condition,
        "attempts": outcome.attempts,
    }
    if outcome.answer is not None and outcome.answer.error is not None:
        note["error"] = outcome.answer.payload.decode("utf-8", "replace")[:2000]
    return note
