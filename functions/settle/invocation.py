"""Lambda's record of an asynchronous invocation of `render`: the job that was given, and how it went.

Source: "Capturing records of Lambda asynchronous invocations" in the Lambda developer guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from urlshot.errors import CODES, Broken, Transient, UrlshotError, failure
from urlshot.jobs import RenderAnswer, RenderJob, Report

FUNCTION_ENDED = ("Success", "RetriesExhausted")
"""The conditions after which `render` ran. With any other, such as EventAgeExceeded, it never started."""

_DETAIL = 500
"""Characters of an error's text that are taken from `render`."""

_PROCESS_ENDED = ("Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.ExitError")
"""Lambda's names for a process that ended by itself or was killed, as a browser's end takes `render` with it."""


@dataclass(frozen=True)
class Invocation:
    """A job that was given to `render`, and what came back: a report and the ETag of the upload, or an error.

    Neither is there if `render` never started.
    """

    job: RenderJob
    report: Report | None = None
    etag: str = ""
    error: UrlshotError | None = None

    @property
    def started(self) -> bool:
        return self.report is not None or self.error is not None


def read(event: dict[str, Any]) -> Invocation:
    """Reads the record.

    The job is taken from `requestPayload`, which Lambda writes. `responsePayload` is the word of a process that runs
    strangers' JavaScript, and decides nothing but the outcome of that one job.

    Raises:
        Broken: it is no record of a render.
    """
    try:
        job = RenderJob.model_validate(event["requestPayload"])
        context = event["requestContext"]
        condition, request_id = str(context["condition"]), str(context.get("requestId", ""))
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise Broken(f"not an invocation record of render: {type(error).__name__}") from error
    if condition not in FUNCTION_ENDED:
        return Invocation(job)
    payload = event.get("responsePayload")
    response = event.get("responseContext")
    if isinstance(response, dict) and response.get("functionError"):
        return Invocation(job, error=_function_error(payload, request_id))
    try:
        answer = RenderAnswer.model_validate(payload)
    except ValidationError as error:
        fields = ", ".join(str(one["loc"]) for one in error.errors(include_input=False)[:3])
        return Invocation(job, error=Broken(f"render's answer is not one: {fields} (request {request_id})"))
    if answer.report is not None and answer.etag:
        return Invocation(job, report=answer.report.bounded(), etag=answer.etag)
    if answer.error is not None:
        reported = _page_error(answer.error)
        return Invocation(job) if reported.code.name == "throttled" else Invocation(job, error=reported)
    return Invocation(job, error=Broken(f"render answered neither a report nor an error (request {request_id})"))


def _page_error(shown: dict[str, Any]) -> UrlshotError:
    """The error that `render` reports, of a code that exists, with a text of bounded length."""
    code = shown.get("code")
    if not isinstance(code, str) or code not in CODES:
        return Broken(f"render reported the unknown error {str(code)[:50]!r}")
    return failure(code, str(shown.get("detail", ""))[:_DETAIL])


def _function_error(payload: Any, request_id: str) -> UrlshotError:
    """The error of an invocation that did not return: a crash or a time-out is the page's fault, the rest is ours."""
    value = payload if isinstance(payload, dict) else {}
    kind, text = str(value.get("errorType", "")), str(value.get("errorMessage", ""))[:_DETAIL]
    internal = f"{kind}: {text} (request {request_id})"
    if "Timedout" in kind or "Task timed out" in text:
        return Transient("timeout", "The renderer ran out of time.", internal=internal)
    if kind in _PROCESS_ENDED:
        return Transient("crash", internal=internal)
    text = f"The renderer failed; its log has the reason under the request id {request_id}."
    return UrlshotError("internal", text, internal=internal)
