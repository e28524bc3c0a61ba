"""Lambda's record of an invocation of render is read, and render's answer in it is not trusted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.settle.invocation import Invocation, read
from urlshot.core.errors import CODES, Broken, UrlshotError
from urlshot.core.render_contract import RenderAnswer, RenderJob, Report, Slot

JOB = RenderJob(
    id="a" * 40,
    generation="0" * 16,
    claim="c" * 32,
    slot=Slot(number=1, etag='"etag"'),
    url="https://example.com/",
    upload=None,
    correlation_id="request-1",
)
REPORT = Report(
    final_url="https://example.com/", status=200, title="", pages=1, bytes=1, sha256="", phases={}, network={},
    chromium="", cold=False,
)  # fmt: skip


def event(payload: Any, condition: str = "Success", error: str | None = None) -> dict[str, Any]:
    return {
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.000Z",
        "requestContext": {
            "requestId": "r-1",
            "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:urlshot-render:$LATEST",
            "condition": condition,
            "approximateInvokeCount": 1,
        },
        "requestPayload": JOB.model_dump(mode="json"),
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            **({"functionError": error} if error else {}),
        },
        "responsePayload": payload,
    }


def answered(**fields: Any) -> Any:
    return RenderAnswer(id=JOB.id, generation=JOB.generation, **fields).model_dump(mode="json", exclude_none=True)


def crashed(kind: str, text: str) -> Invocation:
    return read(event({"errorType": kind, "errorMessage": text}, "RetriesExhausted", "Unhandled"))


def test_report_comes_with_the_etag_of_its_upload() -> None:
    assert read(event(answered(report=REPORT, etag='"e"'))) == Invocation(JOB, report=REPORT, etag='"e"')


def test_texts_that_are_no_unicode_are_read_so_that_they_can_be_stored() -> None:
    """A page that owns the process of render can answer any JSON."""
    texts = {"final_url": "https://a/\ud800", "title": "\udfff", "images_missing": ["\ud83d"], "chromium": "\ude00"}
    payload = answered(report=REPORT, etag='"e"')
    payload["report"] |= texts
    report = read(event(payload)).report
    assert report is not None and report.model_dump_json().encode()
    assert (report.final_url, report.title, report.images_missing) == ("https://a/?", "?", ("?",))
    error = read(event({**answered(), "error": {"code": "page_status", "detail": "\ud800."}})).error
    assert error is not None and error.detail == "?."
    assert crashed("\ud800", "\udfff").error is not None


@pytest.mark.parametrize("code", sorted(CODES.keys() - {"throttled"}))
def test_reported_error_keeps_its_code_and_its_text(code: str) -> None:
    error = read(event(answered(error=UrlshotError(code, "Why.").public()))).error
    assert error is not None
    assert (error.code.name, error.detail, error.retryable) == (code, "Why.", CODES[code].retryable)


def test_render_that_began_too_late_counts_as_not_started() -> None:
    assert not read(event(answered(error=UrlshotError("throttled").public()))).started


@pytest.mark.parametrize("condition", ["EventAgeExceeded", "ZeroReservedConcurrency", "SomethingNew"])
def test_event_that_render_never_got_counts_as_not_started(condition: str) -> None:
    gone = event(None, condition)
    del gone["responsePayload"], gone["responseContext"]
    assert read(gone) == Invocation(JOB)
    assert not read(gone).started


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("Sandbox.Timedout", "RequestId: r-1 Error: Task timed out after 90.00 seconds", "timeout"),
        ("", "2026-01-02T03:04:05Z r-1 Task timed out after 90.00 seconds", "timeout"),
        ("Runtime.ExitError", "RequestId: r-1 Error: Runtime exited with error: signal: killed", "crash"),
        ("Runtime.ExitError", "RequestId: r-1 Error: Runtime exited with error: exit status 70", "crash"),
        ("Runtime.OutOfMemory", "RequestId: r-1 Error: out of memory", "crash"),
        # all other errors are ours
        ("Runtime.ImportModuleError", "Unable to import module 'functions.render.app'", "internal"),
        ("KeyError", "'DISPLAY'", "internal"),
        ("Broken", "internal: An internal error occurred.", "internal"),
        ("", "", "internal"),
    ],
)
def test_function_error_blames_the_page_for_a_crash_and_a_timeout_only(kind: str, text: str, code: str) -> None:
    error = crashed(kind, text).error
    assert error is not None
    assert error.code.name == code
    assert "r-1" in error.internal
    assert ("r-1" in error.detail) == (code == "internal")


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "text",
        [],
        {},
        {"id": "x"},
        answered(),
        answered(report=REPORT),  # no ETag of an upload
        {**answered(), "error": {"code": "made_up"}},
        {**answered(), "error": {}},
        {**answered(report=REPORT, etag='"e"'), "surprise": 1},
    ],
)
def test_malformed_answer_is_an_internal_error(payload: Any) -> None:
    error = read(event(payload)).error
    assert error is not None
    assert error.code.name == "internal"


def test_report_is_cut_to_its_bounds() -> None:
    long = REPORT.model_copy(update={"console": tuple("x" * 9000 for _ in range(20))})
    report = read(event(answered(report=long, etag='"e"'))).report
    assert report is not None
    assert len(report.model_dump_json()) < 50_000


def test_error_text_is_cut() -> None:
    error = read(event({**answered(), "error": {"code": "crash", "detail": "x" * 10_000}})).error
    assert error is not None
    assert len(error.detail) == 500


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"requestPayload": None, "requestContext": {"condition": "Success"}},
        {"requestPayload": {"id": "x"}, "requestContext": {"condition": "Success"}},
        {"requestPayload": JOB.model_dump(mode="json")},
        {"requestPayload": JOB.model_dump(mode="json"), "requestContext": "x"},
    ],
)
def test_event_that_is_no_record_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(Broken, match="not an invocation record"):
        read(bad)


def test_answer_cannot_name_another_job() -> None:
    """Only requestPayload says which claim an answer belongs to. Render's answer is not trusted."""
    forged = {**answered(report=REPORT, etag='"e"'), "id": "b" * 40, "generation": "1" * 16}
    assert read(event(forged)).job == JOB


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.sampled_from(["Success", "RetriesExhausted", "EventAgeExceeded"]), st.none() | st.just("Unhandled"))
def test_any_answer_has_exactly_one_meaning(payload: Any, condition: str, error: str | None) -> None:
    found = read(event(payload, condition, error))
    assert found.job == JOB
    assert not (found.report and found.error)
    assert found.started == (condition != "EventAgeExceeded")


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        read({"requestPayload": value, "requestContext": value, "responsePayload": value})
    except Broken:
        return
    pytest.fail("no such value is a render job")
