"""Simulates Lambda: the event queue of `render`, its runs, and its destinations, which call `settle`.

An event runs at least once and can run twice. A call of the destination can come twice, late, or never. `render` is
simulated by its outward behaviour: it refuses to begin near the end of its lease, uploads for its claim, and answers.

Source: Invoke in the Lambda API reference; "How Lambda handles errors and retries with asynchronous invocation",
"Capturing records of Lambda asynchronous invocations" and "Lambda quotas" in the Lambda developer guide.
`tests/conformance/test_lambda.py` compares the answers and the records with those of the local stack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from pydantic_core import from_json

from tests.simulation.kernel import EPOCH, Kernel
from tests.simulation.s3 import SimulatedS3, refusal
from urlshot.core.lease import EVENT_AGE_SECONDS

INVOKE_FAULTS = ("dies", "dies after", "throttled", "broken", "answer lost", "no connection", "refused", "slow")

OUTCOMES = ("done", "failed", "failed for good", "crash", "time-out", "internal", "nothing uploaded")
OUTCOME_WEIGHTS = (0.10, 0.05, 0.05, 0.04, 0.02, 0.01)
FAILURES = 2
"""The first outcomes after `done` are failures of the page, and no faults."""
CHANGED_WEIGHTS = (0.1,)
DESTINATION = ("called", "called twice", "called late", "not called")
DESTINATION_WEIGHTS = (0.04, 0.04, 0.04)
START = ("immediately", "late", "too old", "twice", "twice, the second late")
START_WEIGHTS = (0.05, 0.03)
"""The probabilities of the first faults of `START`; those of the last two are half of `Setting.twice` each."""

RENDER_SECONDS = 60
MIN_LEASE_SECONDS = 10
RETRY_SECONDS = (60, 120)
"""Seconds before the second and the third attempt of an asynchronous invocation (Lambda developer guide)."""

FUNCTION = "render"
TIMEOUT_SECONDS = 90
EVENT_LIMIT = 1024 * 1024
"""The largest event in bytes."""
FUNCTION_ERRORS: dict[str, tuple[str, str]] = {
    "crash": ("Runtime.ExitError", "RequestId: {} Error: Runtime exited with error: exit status 1"),
    "time-out": ("Sandbox.Timedout", f"RequestId: {{}} Error: Task timed out after {TIMEOUT_SECONDS:.2f} seconds"),
    "internal": ("KeyError", "'key'"),
}
"""The type and the message of the error of each outcome that is an error of the function."""


@dataclass(frozen=True)
class Event:
    """An accepted event; Lambda can run it twice. `name` identifies a run in traces and decisions."""

    name: str
    request_id: str
    job: dict[str, Any]


class SimulatedLambda:
    """The simulated Lambda service."""

    def __init__(
        self,
        kernel: Kernel,
        s3: SimulatedS3,
        settle: Callable[[dict[str, Any], Callable[[bool], None]], None],
        watch: Callable[[str, str], None],
        *,
        same_bytes: bool,
        twice: float = 0.06,
    ) -> None:
        """Creates the service.

        Args:
            kernel: The kernel of the history.
            s3: The simulated S3 that `render` uploads to.
            settle: Handles the record of an invocation, and calls its last argument with whether it succeeded.
            watch: Is called with "begin" or "end" and the claim for each run of `render`.
            same_bytes: Whether every render of a job makes the same PDF, as happens if its URL serves a PDF.
            twice: The probability that an event runs twice.
        """
        self._kernel = kernel
        self._s3 = s3
        self._settle = settle
        self._watch = watch
        self._same_bytes = same_bytes
        self._start_weights = (*START_WEIGHTS, twice / 2, twice / 2)
        self._invoked = 0

    # ---- the client's method ----------------------------------------------------------------------------------------

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        if FunctionName != FUNCTION:
            raise refusal("Invoke", "ResourceNotFoundException", 404)
        if len(Payload) > EVENT_LIMIT:
            raise refusal("Invoke", "RequestTooLargeException", 413)
        try:
            job = from_json(Payload)
        except ValueError:
            raise refusal("Invoke", "InvalidRequestContentException", 400) from None
        _, fault = self._kernel.enter("invoke render", INVOKE_FAULTS, job["claim"])
        match fault:
            case "throttled":
                raise refusal("Invoke", "TooManyRequestsException", 429)
            case "broken":
                raise refusal("Invoke", "ServiceException", 500)
            case "refused":
                raise refusal("Invoke", "RequestTooLargeException", 413)
            case "no connection":
                raise EndpointConnectionError(endpoint_url="https://lambda.example/")
        request_id = self._take(job)
        if fault == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://lambda.example/")
        self._kernel.leave(fault)
        return {"StatusCode": 202, "ResponseMetadata": {"RequestId": request_id, "HTTPStatusCode": 202}}

    # ---- the event queue --------------------------------------------------------------------------------------------

    def _take(self, job: dict[str, Any]) -> str:
        """Accepts an event and returns the id of its request, which all its runs have."""
        self._invoked += 1
        name = f"render {self._invoked}"
        event = Event(name, f"00000000-0000-0000-0000-{self._invoked:012x}", job)
        decisions = self._kernel.decisions
        how = START[decisions.choose(f"{name}/start", self._start_weights)]
        prompt = decisions.latency(f"{name}/wait")
        late = decisions.between(f"{name}/late", EVENT_AGE_SECONDS + 20)
        if how == "too old":
            self._kernel.after(EVENT_AGE_SECONDS + late, lambda: self._end_event(event, "EventAgeExceeded", None))
            return event.request_id
        first = late if how == "late" else min(prompt, EVENT_AGE_SECONDS)
        self._kernel.after(first, lambda: self._run(event, 1))
        if how.startswith("twice"):
            second = first + (late if "late" in how else 1)
            self._kernel.after(second, lambda: self._run(replace(event, name=f"{name}b"), 2))
        return event.request_id

    # ---- a run of render --------------------------------------------------------------------------------------------

    def _run(self, event: Event, number: int) -> None:
        kernel, decisions, name, job = self._kernel, self._kernel.decisions, event.name, event.job
        claim = job["claim"]
        until = (datetime.fromisoformat(job["lease_until"]) - EPOCH).total_seconds()
        left = until - kernel.now
        if left < MIN_LEASE_SECONDS:
            kernel.say(name, f"refuses to begin {claim}: {left:.1f} s of the lease are left")
            self._end_event(event, "Success", self._error(job, "throttled"))
            return
        kernel.say(name, f"begins {claim}")
        self._watch("begin", claim)
        limit = min(RENDER_SECONDS, left - 4)
        outcome = OUTCOMES[decisions.choose(f"{name}/outcome", OUTCOME_WEIGHTS, FAILURES)]
        took = limit if outcome == "time-out" else min(1 + decisions.latency(f"{name}/took"), limit)
        kernel.after(took, lambda: self._end(event, number, outcome))

    def _end(self, event: Event, number: int, outcome: str) -> None:
        kernel, job, claim = self._kernel, event.job, event.job["claim"]
        kernel.say(event.name, f"ends {claim}: {outcome}")
        self._watch("end", claim)
        match outcome:
            case "done":
                answer = self._upload(job, self._content(event, number))
            case "nothing uploaded":
                answer = self._report(job, b"never stored", '"none"')
            case "failed":
                answer = self._error(job, "connection_failed")
            case "failed for good":
                answer = self._error(job, "page_status")
            case _:
                kind, text = FUNCTION_ERRORS[outcome]
                failed = {"errorType": kind, "errorMessage": text.format(event.request_id)}
                if not kind.startswith(("Runtime.", "Sandbox.")):  # the runtime reports it, and not Lambda
                    failed |= {"requestId": event.request_id, "stackTrace": []}
                self._end_event(event, "RetriesExhausted", failed, error="Unhandled")
                return
        self._end_event(event, "Success", answer)

    def _content(self, event: Event, number: int) -> str:
        """Returns the PDF of a run. If PDFs are equal, the URL serves another one at rare times."""
        if not self._same_bytes:
            return f"{event.job['claim']}, run {number}"
        changed = self._kernel.decisions.choose(f"{event.name}/changed", CHANGED_WEIGHTS)
        return event.job["id"] + (f" as {event.name} found it" if changed else "")

    def _upload(self, job: dict[str, Any], content: str) -> dict[str, Any]:
        fields, body = job["upload"]["fields"], content.encode()
        claim = {"generation": job["generation"], "claim": job["claim"]} if fields["key"].startswith("pdf/") else None
        status, etag, code = self._s3.post(fields, body, claim)
        if status == 403:
            return self._error(job, "timeout")  # as `functions/render/upload.py` reads it
        assert status == 204, code
        return self._report(job, body, etag)

    def _report(self, job: dict[str, Any], body: bytes, etag: str) -> dict[str, Any]:
        report = {
            "final_url": job["url"],
            "status": 200,
            "source": "pdf" if self._same_bytes else "page",
            "title": "",
            "pages": 1,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "phases": {},
            "network": {},
            "chromium": "",
            "cold": False,
        }
        return {"version": 1, "id": job["id"], "generation": job["generation"], "report": report, "etag": etag}

    def _error(self, job: dict[str, Any], code: str) -> dict[str, Any]:
        error = {"code": code, "detail": code}
        return {"version": 1, "id": job["id"], "generation": job["generation"], "error": error}

    # ---- destinations -----------------------------------------------------------------------------------------------

    def _end_event(self, event: Event, condition: str, answer: dict[str, Any] | None, *, error: str = "") -> None:
        """Sends the record of an event to its destination; `answer` is None if the function did not run."""
        name, record = event.name, self._record(event, condition, answer, error)
        how = DESTINATION[self._kernel.decisions.choose(f"{name}/destination", DESTINATION_WEIGHTS)]
        wait = self._kernel.decisions.latency(f"{name}/destination/wait")
        if how == "not called":
            self._kernel.say(name, "its destination is not called")
            return
        if how == "called late":
            wait += self._kernel.decisions.between(f"{name}/destination/late", 400)
        self._kernel.after(wait, lambda: self._call(record, 0))
        if how == "called twice":
            self._kernel.after(wait + 0.02, lambda: self._call(record, 0))

    def _record(self, event: Event, condition: str, answer: dict[str, Any] | None, error: str) -> dict[str, Any]:
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": f"{self._kernel.clock().replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
            "requestContext": {
                "requestId": event.request_id,
                "functionArn": f"arn:aws:lambda:eu-west-1:123456789012:function:{FUNCTION}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": 0 if answer is None else 1,
            },
            "requestPayload": event.job,
        }
        if answer is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST"}
            if error:
                record["responseContext"]["functionError"] = error
            record["responsePayload"] = answer
        return record

    def _call(self, record: dict[str, Any], attempt: int) -> None:
        def settled(well: bool) -> None:
            if not well and attempt < len(RETRY_SECONDS):
                self._kernel.after(RETRY_SECONDS[attempt], lambda: self._call(record, attempt + 1))

        self._settle(record, settled)
