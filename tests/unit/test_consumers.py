"""The consumers of the bus handle the events of tests/events, which have the form that EventBridge delivers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.log.app import handler as log
from functions.metric.app import handler as metric
from functions.metric.app import metrics
from tests.unit.metrics import Emitted, read_metrics
from tests.unit.stacks import EVERYTHING, stack

PROJECT = Path(__file__).resolve().parents[2]
EVENTS = PROJECT / "tests" / "events"
CONTEXT = cast("LambdaContext", SimpleNamespace())
ID, URL = "0caaf24ab1a0c33440c06afe99df986365b0781f", "https://example.com/"


def event(name: str, **detail: Any) -> dict[str, Any]:
    found = json.loads((EVENTS / f"{name}.json").read_text())
    found["detail"] |= detail
    return cast("dict[str, Any]", found)


def test_log_line_of_a_success_is_the_talks(caplog: pytest.LogCaptureFixture) -> None:
    log(event("log"), CONTEXT)
    [line] = caplog.records
    assert (line.levelname, line.message) == ("INFO", f"OK - The PDF has been generated - {ID} - {URL}")
    assert (vars(line)["job_id"], vars(line)["event_key"]) == (ID, event("log")["detail"]["event_key"])


def test_log_line_of_a_failure_is_the_talks(caplog: pytest.LogCaptureFixture) -> None:
    log(event("metric"), CONTEXT)
    [line] = caplog.records
    assert (line.levelname, line.message) == ("ERROR", f"ERROR - The PDF has not been generated - {ID} - {URL}")
    assert vars(line)["error_code"] == "page_status"


REPORT: dict[str, Any] = {
    "final_url": URL, "status": 200, "title": "Example", "pages": 1, "bytes": 8, "sha256": "", "network": {},
    "phases": {"queue": 120.5, "start": 38.6, "navigate": 45.3, "settle": 29.2, "print": 9.9, "upload": 9.8, "tea": 1},
    "chromium": "", "cold": False, "verdict": "degraded", "gb_seconds": 0.7,
}  # fmt: skip


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Emitted]:
    """Reads the metrics that were printed since the last call."""
    monkeypatch.setattr(metrics, "namespace", "urlshot")  # on Lambda a variable sets it
    return lambda: read_metrics(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            event("log"),
            {("pdf.generated.success",): 1, ("pdf.queue.time",): 0.12, ("pdf.render.time",): 0.35},
        ),
        (
            event("metric"),
            {
                ("pdf.generated.error",): 1,
                ("pdf.queue.time",): 0.12,
                ("pdf.render.time",): 0.35,
                ("pdf.error", ("code", "page_status")): 1,
            },
        ),
        (event("log", cached=True, report=REPORT), {("pdf.asked.again",): 1}),
    ],
)
def test_metrics_have_the_talks_names(given: dict[str, Any], expected: Emitted, emitted: Callable[[], Emitted]) -> None:
    metric(given, CONTEXT)
    assert emitted() == expected


def test_report_gives_metrics_of_verdict_phases_and_gb_seconds(emitted: Callable[[], Emitted]) -> None:
    metric(event("log", report=REPORT), CONTEXT)
    found = emitted()
    assert found.pop(("pdf.verdict", ("verdict", "degraded"))) == 1
    assert found.pop(("pdf.gb_seconds",)) == 0.7
    phases = {name.removeprefix("pdf.phase."): value for (name, *_), value in found.items() if "phase" in name}
    assert phases == {name: value for name, value in REPORT["phases"].items() if name != "tea"}  # an unknown phase


def test_unknown_gb_seconds_give_no_metric(emitted: Callable[[], Emitted]) -> None:
    metric(event("log", report={**REPORT, "gb_seconds": 0.0}), CONTEXT)
    assert ("pdf.gb_seconds",) not in emitted()


def test_every_event_file_is_named_after_its_function() -> None:
    functions = {name.removesuffix("Function").lower() for name in stack(**EVERYTHING).functions}
    assert {file.stem for file in EVENTS.glob("*.json")} == functions
