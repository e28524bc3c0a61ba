"""Reads Lambda's record of an asynchronous invocation of `render`: the job and its result.

Source: "Capturing records of Lambda asynchronous invocations" in the Lambda developer guide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from urlshot.core.errors import CODES, Broken, Transient, UrlshotError, failure
from urlshot.core.render_contract import RenderAnswer, RenderJob, Report

FUNCTION_ENDED = ("Success", "RetriesExhausted")
"""The conditions of an invocation that ran. With any other, such as EventAgeExceeded, `render` never started."""

_DETAIL = 500
"""The number of characters that are kept of an error text from `render`."""

_PROCESS_ENDED = ("Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.ExitError")
"""Lambda's names for a process that exited or was killed. `render` exits when its browser crashes."""


@dataclass(frozen=True)
class Invocation:
    """Holds the job that `render` was given, and its result: a report and the ETag of the upload, or an error.

    There is neither a report nor an error if `render` did not start on the job.
    """

    job: RenderJob
    report: Report | None = None
    etag: str = ""
    error: UrlshotError | None = None

    @property
    def started(self) -> bool:
        """Returns whether `render` started on the job."""
        return self.report is not None or self.error is not None


def read(event: dict[str, Any]) -> Invocation:
    """Reads an invocation record.

    The job is taken from `requestPayload`, which Lambda writes. `responsePayload` comes from a process that runs
    strangers' JavaScript. It is not trusted, and decides only the outcome of this one job.

    Raises:
        Broken: `event` is not the record of an invocation of `render`.
    """
    try:
        job = RenderJob.model_validate(event["requestPayload"])
        context = event["requestContext"]
        condition, request_id = str(context["condition"]), str(context.get("requestId", ""))
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise Broken(f"not an invocation record of render: {type(error).__name__}") from error
    if condition not in FUNCTION_ENDED:
        return Invocation(job)
    payload = _encodable(event.get("responsePayload"))
    response = event.get("responseContext")
    if isinstance(response, dict) and response.get("functionError"):
        return Invocation(job, error=_function_error(payload, request_id))
    try:
        answer = RenderAnswer.model_validate(payload)
    except ValidationError as error:
        fields = ", ".join(str(one["loc"]) for one in error.errors(include_input=False)[:3])
        return Invocation(job, error=Broken(f"render's answer has wrong fields: {fields} (request {request_id})"))
    if answer.report is not None and answer.etag:
        return Invocation(job, report=answer.report.bounded(), etag=answer.etag)
    if answer.error is not None:
        reported = _page_error(answer.error)
        # `render` reports `throttled` if too little of the lease is left. It did not start on the job then.
        return Invocation(job) if reported.code.name == "throttled" else Invocation(job, error=reported)
    return Invocation(job, error=Broken(f"render answered neither a report nor an error (request {request_id})"))


def _encodable(value: Any) -> Any:
    """Returns a JSON value whose texts are all Unicode, so that record, event and message can be written."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _page_error(shown: dict[str, Any]) -> UrlshotError:
    """Returns the error that `render` reports; its code exists, and its text has a bounded length."""
    code = shown.get("code")
    if not isinstance(code, str) or code not in CODES:
        return Broken(f"render reported the unknown error {str(code)[:50]!r}")
    return failure(code, str(shown.get("detail", ""))[:_DETAIL])


def _function_error(payload: Any, request_id: str) -> UrlshotError:
    """Returns the error of an invocation that failed: a crash or timeout is the page's fault, all else is ours."""
    value = payload if isinstance(payload, dict) else {}
    kind, text = str(value.get("errorType", "")), str(value.get("errorMessage", ""))[:_DETAIL]
    internal = f"{kind}: {text} (request {request_id})"
    if "Timedout" in kind or "Task timed out" in text:
        return Transient("timeout", "The renderer ran out of time.", internal=internal)
    if kind in _PROCESS_ENDED:
        return Transient("crash", internal=internal)
    text = f"The renderer failed; its log has the reason under the request id {request_id}."
    return UrlshotError("internal", text, internal=internal)
