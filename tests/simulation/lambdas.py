"""Simulates Lambda: the event queue of `render`, its runs, and its destinations, which call `settle`.

An event runs at least once and can run twice. A call of the destination can come twice, late, or never. `render` is
simulated by its outward behaviour: it refuses to begin near the end of its lease, uploads for its claim, and answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from tests.simulation.kernel import EPOCH, Kernel
from tests.simulation.s3 import SimulatedS3, refusal
from urlshot.core.lease import EVENT_AGE_SECONDS

INVOKE_FAULTS = ("dies", "dies after", "throttled", "broken", "answer lost", "no connection", "refused", "slow")

OUTCOMES = ("done", "failed", "failed for good", "crash", "time-out", "internal", "nothing uploaded")
OUTCOME_WEIGHTS = (0.10, 0.05, 0.05, 0.04, 0.02, 0.01)
DESTINATION = ("called", "called twice", "called late", "not called")
DESTINATION_WEIGHTS = (0.04, 0.04, 0.04)
START = ("immediately", "late", "too old", "twice", "twice, the second late")
START_WEIGHTS = (0.05, 0.03, 0.03, 0.03)

RENDER_SECONDS = 60
MIN_LEASE_SECONDS = 10
RETRY_SECONDS = (60, 120)
"""Seconds before the second and the third attempt of an asynchronous invocation (Lambda developer guide)."""


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
    ) -> None:
        """Creates the service.

        Args:
            kernel: The kernel of the history.
            s3: The simulated S3 that `render` uploads to.
            settle: Handles the record of an invocation, and calls its last argument with whether it succeeded.
            watch: Is called with "begin" or "end" and the claim for each run of `render`.
            same_bytes: Whether every render of a job makes the same PDF, as happens if its URL serves a PDF.
        """
        self._kernel = kernel
        self._s3 = s3
        self._settle = settle
        self._watch = watch
        self._same_bytes = same_bytes
        self._invoked = 0

    # ---- the client's method ----------------------------------------------------------------------------------------

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        job = json.loads(Payload)
        _, fault = self._kernel.enter(f"invoke render {job['claim']}", INVOKE_FAULTS)
        match fault:
            case "throttled":
                raise refusal("Invoke", "TooManyRequestsException", 429)
            case "broken":
                raise refusal("Invoke", "ServiceException", 500)
            case "refused":
                raise refusal("Invoke", "RequestTooLargeException", 413)
            case "no connection":
                raise EndpointConnectionError(endpoint_url="https://lambda.example/")
        self._take(job)
        if fault == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://lambda.example/")
        self._kernel.leave(fault)
        return {"StatusCode": 202}

    # ---- the event queue --------------------------------------------------------------------------------------------

    def _take(self, job: dict[str, Any]) -> None:
        self._invoked += 1
        name = f"render {self._invoked}"
        decisions = self._kernel.decisions
        how = START[decisions.choose(f"{name}/start", START_WEIGHTS)]
        prompt = decisions.latency(f"{name}/wait")
        late = decisions.between(f"{name}/late", EVENT_AGE_SECONDS + 20)
        if how == "too old":
            self._kernel.after(EVENT_AGE_SECONDS + late, lambda: self._answer(name, job, "EventAgeExceeded", {}))
            return
        first = late if how == "late" else min(prompt, EVENT_AGE_SECONDS)
        self._kernel.after(first, lambda: self._run(name, job, 1))
        if how.startswith("twice"):
            second = first + (late if "late" in how else 1)
            self._kernel.after(second, lambda: self._run(f"{name}b", job, 2))

    # ---- a run of render --------------------------------------------------------------------------------------------

    def _run(self, name: str, job: dict[str, Any], number: int) -> None:
        kernel, decisions, claim = self._kernel, self._kernel.decisions, job["claim"]
        until = (datetime.fromisoformat(job["lease_until"]) - EPOCH).total_seconds()
        left = until - kernel.now
        if left < MIN_LEASE_SECONDS:
            kernel.say(name, f"refuses to begin {claim}: {left:.1f} s of the lease are left")
            self._answer(name, job, "Success", self._error(job, "throttled"))
            return
        kernel.say(name, f"begins {claim}")
        self._watch("begin", claim)
        limit = min(RENDER_SECONDS, left - 4)
        outcome = OUTCOMES[decisions.choose(f"{name}/outcome", OUTCOME_WEIGHTS)]
        took = limit if outcome == "time-out" else min(1 + decisions.latency(f"{name}/took"), limit)
        kernel.after(took, lambda: self._end(name, job, number, outcome))

    def _end(self, name: str, job: dict[str, Any], number: int, outcome: str) -> None:
        kernel, claim = self._kernel, job["claim"]
        kernel.say(name, f"ends {claim}: {outcome}")
        self._watch("end", claim)
        match outcome:
            case "done":
                answer = self._upload(job, job["id"] if self._same_bytes else f"{claim}, run {number}")
            case "nothing uploaded":
                answer = self._report(job, b"never stored", '"none"')
            case "failed":
                answer = self._error(job, "connection_failed")
            case "failed for good":
                answer = self._error(job, "page_status")
            case "crash":
                self._answer(name, job, "RetriesExhausted", {"errorType": "Runtime.ExitError"}, failed=True)
                return
            case "time-out":
                self._answer(name, job, "RetriesExhausted", {"errorType": "Sandbox.Timedout"}, failed=True)
                return
            case _:
                self._answer(name, job, "RetriesExhausted", {"errorType": "KeyError"}, failed=True)
                return
        self._answer(name, job, "Success", answer)

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

    def _answer(
        self, name: str, job: dict[str, Any], condition: str, payload: dict[str, Any], *, failed: bool = False
    ) -> None:
        event = {
            "requestContext": {"condition": condition, "requestId": name},
            "requestPayload": job,
            "responseContext": {"functionError": "Unhandled"} if failed else {},
            "responsePayload": payload,
        }
        how = DESTINATION[self._kernel.decisions.choose(f"{name}/destination", DESTINATION_WEIGHTS)]
        wait = self._kernel.decisions.latency(f"{name}/destination/wait")
        if how == "not called":
            self._kernel.say(name, "its destination is not called")
            return
        if how == "called late":
            wait += self._kernel.decisions.between(f"{name}/destination/late", 400)
        self._kernel.after(wait, lambda: self._call(event, 0))
        if how == "called twice":
            self._kernel.after(wait + 0.02, lambda: self._call(event, 0))

    def _call(self, event: dict[str, Any], attempt: int) -> None:
        def settled(well: bool) -> None:
            if not well and attempt < len(RETRY_SECONDS):
                self._kernel.after(RETRY_SECONDS[attempt], lambda: self._call(event, attempt + 1))

        self._settle(event, settled)
