"""Dashboard and alarms use exactly the emitted metrics, and alarms go to the given topic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

import functions.dispatch.app
import functions.metric.app
import functions.settle.app
import functions.watch.app
from functions.api.job_calls import REFUSED
from functions.dispatch.handover import HANDED_OVER, NO_SLOT, Handled
from functions.metric.app import PHASES
from functions.settle.settle import DROPPED, Settled
from functions.watch.queues import Queue
from infra.local.template.evaluator import Resource
from tests.unit.metrics import read_metrics
from tests.unit.stacks import EVERYTHING, PROJECT, Stack, stack, variables
from tests.unit.test_consumers import REPORT, event
from urlshot.core.lease import EVENT_AGE_SECONDS, SETTLE_SECONDS
from urlshot.core.messages import QUEUES
from urlshot.core.render_contract import Verdict
from urlshot.lifecycle.accept import Outcome

CONTEXT = cast("LambdaContext", SimpleNamespace())
Metric = tuple[str, frozenset[str]]
"""The name and the dimensions of a metric, without `service`."""


def alarms(made: Stack) -> dict[str, Resource]:
    return {name.removeprefix("Monitoring."): one for name, one in made.of("AWS::CloudWatch::Alarm").items()}


def dashboard(made: Stack) -> dict[str, Any]:
    [resource] = made.of("AWS::CloudWatch::Dashboard").values()
    return cast("dict[str, Any]", json.loads(resource.require("DashboardBody")))


def metrics_of_alarms(made: Stack) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yields the namespace, the name and the dimensions of each metric."""
    for alarm in alarms(made).values():
        several = [one["MetricStat"]["Metric"] for one in alarm.property("Metrics", []) if "MetricStat" in one]
        single = {name: alarm.property(name) for name in ("Namespace", "MetricName", "Dimensions")}
        for metric in several or [single]:
            yield (
                metric["Namespace"],
                metric["MetricName"],
                {one["Name"]: str(one["Value"]) for one in metric["Dimensions"]},
            )


def metrics_of_dashboard(made: Stack) -> Iterator[tuple[str, str, dict[str, str]]]:
    for widget in dashboard(made)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            parts = [part for part in metric if isinstance(part, str)]
            if parts and parts[0] != "...":  # three dots repeat the metric before
                namespace, name, *rest = parts
                yield namespace, name, dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> set[Metric]:
    """Returns the metrics that metric, watch, dispatch and settle print, and those of the outcomes of api."""
    for module in (functions.metric.app, functions.watch.app, functions.dispatch.app, functions.settle.app):
        monkeypatch.setattr(module.metrics, "namespace", "urlshot")  # on Lambda a variable sets it
    for given in (
        event("log", report={**REPORT, "phases": dict.fromkeys(PHASES, 1.5)}),
        event("log", cached=True),
        event("metric"),
    ):
        functions.metric.app.handler(given, CONTEXT)
    watch(monkeypatch)
    dispatch_and_settle(monkeypatch)
    written = cast("list[tuple[Any, ...]]", list(read_metrics(capsys.readouterr().out)))
    names = {(name, frozenset(dimension for dimension, _ in pairs)) for name, *pairs in written}
    return names | {(f"pdf.request.{outcome}", frozenset()) for outcome in (*(one.value for one in Outcome), REFUSED)}


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs functions/watch with messages in each queue and four slots."""
    parts = SimpleNamespace(
        settings=SimpleNamespace(broker_console="", lease=195),
        user=None,
        memory=SimpleNamespace(read=dict, write=lambda _: None),
        slots=SimpleNamespace(count=4, list_free=list),
    )
    monkeypatch.setattr(functions.watch.app, "bootstrap", lambda: parts)
    found = [Queue(name, 1, 1, 0) for name in QUEUES.values()]
    monkeypatch.setattr(functions.watch.app, "read_queues", lambda *_: found)
    functions.watch.app.handler({}, CONTEXT)


def dispatch_and_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs functions/dispatch and functions/settle with stubs that give fixed outcomes."""
    handled = [Handled(HANDED_OVER, slot_wait=0.5), Handled(NO_SLOT)]
    dispatcher = SimpleNamespace(handle=lambda *_: handled)
    monkeypatch.setattr(functions.dispatch.app, "bootstrap", lambda: dispatcher)
    functions.dispatch.app.handler({"rmqMessagesByQueue": {}}, CONTEXT)
    given = json.loads((PROJECT / "tests" / "events" / "settle.json").read_text("utf-8"))
    for settled in (Settled("done", age=1.5), Settled(DROPPED)):
        settler = SimpleNamespace(settle=lambda _, settled=settled: settled)
        monkeypatch.setattr(functions.settle.app, "bootstrap", lambda settler=settler: settler)
        functions.settle.app.handler(given, CONTEXT)


def test_metrics_that_are_emitted_are_those_that_are_shown(
    emitted: set[Metric],
) -> None:
    made = stack(**EVERYTHING)
    used = [*metrics_of_alarms(made), *metrics_of_dashboard(made)]
    ours = {(name, frozenset(on) - {"service"}) for namespace, name, on in used if namespace == "urlshot"}
    searched = set(
        re.findall(r"\{urlshot,service,(\w+)\} MetricName=\"([\w.]+)\"", json.dumps(dashboard(made)).replace("\\", ""))
    )
    assert ours | {(name, frozenset([by])) for by, name in searched} == emitted
    assert {on["service"] for namespace, _, on in used if namespace == "urlshot"} == {"urlshot"}


def test_runbook_lists_every_metric_and_no_other(emitted: set[Metric]) -> None:
    text = (PROJECT / "docs" / "operate.md").read_text("utf-8")
    table = text[text.index("| metric | unit |") :].split("\n\n")[0]
    assert set(re.findall(r"`(pdf\.[\w.]+)`", table)) == {name for name, _ in emitted}
    assert set(re.findall(r"`(pdf\.[\w.]+)`", text)) <= {name for name, _ in emitted}


def test_every_function_emits_by_the_name_of_its_stack() -> None:
    for function in stack(**EVERYTHING).functions.values():
        given = variables(function)
        assert (given["POWERTOOLS_SERVICE_NAME"], given["POWERTOOLS_METRICS_NAMESPACE"]) == ("urlshot", "urlshot")


def test_every_verdict_and_every_outcome_has_a_line_on_the_dashboard() -> None:
    shown = list(metrics_of_dashboard(stack()))
    assert {on["verdict"] for _, name, on in shown if name == "pdf.verdict"} == set(get_args(Verdict))
    assert {name for _, name, _ in shown if name.startswith("pdf.phase.")} == {f"pdf.phase.{one}" for one in PHASES}


def test_metrics_of_aws_have_the_dimensions_of_aws() -> None:
    made = stack(**EVERYTHING)
    known = {
        "AWS/Lambda": {"FunctionName"},
        "AWS/SQS": {"QueueName"},
        "AWS/AmazonMQ": {"Broker"},
        "AWS/ApiGateway": {"ApiName", "Stage"},
    }
    values = {
        "FunctionName": {"ApiFunction", "DispatchFunction", "RenderFunction", "SettleFunction"},  # as Ref gives it here
        "QueueName": {"urlshot-Consumers-UndeliveredEvents", "urlshot-Consumers-UndeliveredCallbacks"},
        "Broker": {made["Broker.Broker"].require("BrokerName")},
        "ApiName": {made["Api"].require("DefinitionBody")["info"]["title"]},
        "Stage": {made["Api"].require("StageName")},
    }
    for namespace, name, on in (*metrics_of_alarms(made), *metrics_of_dashboard(made)):
        if namespace != "urlshot":
            assert on.keys() == known[namespace], name
            assert all(value in values[dimension] for dimension, value in on.items()), on


def test_widgets_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard(stack())["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        assert widget["properties"]["title"]
        taken |= cells


def test_price_of_a_thousand_is_computed_with_the_functions_memory() -> None:
    made = stack(RenderMemory="3008")
    [price] = re.findall(r"1000 \* \([^\"]+", json.dumps(dashboard(made)))
    assert "render * 3008 / 1024 + dispatch + settle + api" in price
    assert made["RenderFunction"].require("MemorySize") == "3008"
    for name in ("ApiFunction", "DispatchFunction", "SettleFunction"):
        assert made[name].require("MemorySize") == 1024  # 1 GB, so that a second is a GB-second


EXPECTED = {
    "ErrorRate", "StuckJobs", "StuckBulkJobs", "SlotsFull", "DeadMessages", "WatchSilent", "UndeliveredEventsThere",
    "UndeliveredCallbacksThere", "ServerErrors", "FunctionErrors", "Throttles", "LostResults", "SlowStarts",
    "SlowDispatch", "BrokerMemory", "BrokerDisk", "BrokerConnections",
}  # fmt: skip


def test_alarms_go_to_the_given_topic_and_nowhere_without_one() -> None:
    loud, silent = alarms(stack(**EVERYTHING)), alarms(stack())
    assert loud.keys() == silent.keys() == EXPECTED
    for name, alarm in loud.items():
        assert alarm.require("AlarmActions") == alarm.require("OKActions") == [EVERYTHING["AlarmTopicArn"]]
        assert silent[name].property("AlarmActions") is None
        assert len(alarm.require("AlarmDescription")) > 40
        missing = "breaching" if name == "WatchSilent" else "notBreaching"
        assert alarm.require("TreatMissingData") == missing


def test_thresholds_are_the_given_ones() -> None:
    made = alarms(stack(AlarmQueueSeconds="120", AlarmBulkSeconds="240", AlarmConnections="9", AlarmErrorPercent="50"))
    assert made["StuckBulkJobs"].require("Threshold") == "240"
    assert made["BrokerConnections"].require("Threshold") == "9"
    assert made["StuckJobs"].require("Threshold") == "120"
    assert made["ErrorRate"].require("Threshold") == "50"


def test_formula_of_an_alarm_uses_all_parts_and_returns_one_result() -> None:
    for name, alarm in alarms(stack()).items():
        parts = alarm.property("Metrics", [])
        returned = [one for one in parts if one.get("ReturnData", True)]
        assert len(returned) == (1 if parts else 0), name
        for one in returned:
            ids = set(re.findall(r"\b[a-z]\w*\b", one["Expression"]))
            assert ids == {part["Id"] for part in parts if part is not one}, name


def test_alarms_about_durations_ring_before_the_time_out() -> None:
    made = stack()
    slow = alarms(made)["SlowDispatch"].require("Threshold")
    assert 0.5 < slow / 1000 / made["DispatchFunction"].require("Timeout") < 1
    late = alarms(made)["SlowStarts"].require("Threshold")
    assert late / 1000 < min(EVENT_AGE_SECONDS, SETTLE_SECONDS)


def test_stack_without_watch_has_no_function_role_or_alarm_of_it() -> None:
    made = stack(QueueWatch="disabled")
    assert not [name for name in made.all if "Watch" in name and name != "Broker.WatchSecret"]
    assert alarms(made).keys() == EXPECTED - {"StuckJobs", "StuckBulkJobs", "SlotsFull", "DeadMessages", "WatchSilent"}


def test_watch_runs_every_minute_without_retries() -> None:
    watch = stack()["WatchFunction"]
    [schedule] = watch.require("Events").values()
    assert schedule == {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}}
    assert watch.require("EventInvokeConfig")["MaximumRetryAttempts"] == 0
    assert watch.require("Timeout") < 60
