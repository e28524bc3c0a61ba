"""The consumers of the bus, with the events of tests/events as EventBridge delivers them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.log.app import handler as log
from functions.metric.app import handler as metric
from functions.metric.app import metrics
from infra.local.addresses import LocalAddresses
from infra.local.settings import default_parameters
from infra.local.template import Template
from infra.local.wiring import read_wiring

PROJECT = Path(__file__).resolve().parents[2]
EVENTS = PROJECT / "tests" / "events"
CONTEXT = cast("LambdaContext", SimpleNamespace())
ID, URL = "0caaf24ab1a0c33440c06afe99df986365b0781f", "https://example.com/"


def event(name: str, **detail: Any) -> dict[str, Any]:
    found = json.loads((EVENTS / f"{name}.json").read_text())
    found["detail"] |= detail
    return cast("dict[str, Any]", found)


def test_the_talks_log_line_of_a_success(caplog: pytest.LogCaptureFixture) -> None:
    log(event("log"), CONTEXT)
    [line] = caplog.records
    assert (line.levelname, line.message) == ("INFO", f"OK - The PDF has been generated - {ID} - {URL}")
    assert (vars(line)["job_id"], vars(line)["event_key"]) == (ID, event("log")["detail"]["event_key"])


def test_the_talks_log_line_of_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    log(event("metric"), CONTEXT)
    [line] = caplog.records
    assert (line.levelname, line.message) == ("ERROR", f"ERROR - The PDF has not been generated - {ID} - {URL}")
    assert vars(line)["error_code"] == "page_status"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (event("log"), {"pdf.generated.success", "pdf.queue.time", "pdf.render.time"}),
        (event("metric"), {"pdf.generated.error", "pdf.queue.time", "pdf.render.time"}),
        (event("log", cached=True), {"pdf.asked.again"}),
    ],
)
def test_the_talks_metrics(
    given: dict[str, Any], names: set[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "namespace", "urlshot")  # which on Lambda its variable gives
    metric(given, CONTEXT)
    line = json.loads(capsys.readouterr().out)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "urlshot"
    assert {one["Name"] for one in directive["Metrics"]} == names
    assert all(line[name] for name in names)


def test_every_event_file_is_named_after_its_function() -> None:
    addresses = LocalAddresses(aws="http://127.0.0.1:1", amqp="amqp://127.0.0.1:2", console="http://127.0.0.1:3")
    wiring = read_wiring(Template(PROJECT / "template.yaml", addresses, default_parameters()), addresses)
    functions = {name.removesuffix("Function").lower() for name in wiring.functions}
    assert {file.stem for file in EVENTS.glob("*.json")} <= functions
