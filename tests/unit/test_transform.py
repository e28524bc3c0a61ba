"""The templates after SAM's transform fit the code and the rules of AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from infra.local.settings import PROJECT
from infra.local.template.evaluator import Resource, Template
from tests.deployment.roles import role_of, statements
from tests.deployment.whole import TEMPLATE, Deployment, Symbols, deployment, name_of
from tests.unit.stacks import EVERYTHING, stack
from tests.unit.test_template import SETTINGS
from urlshot.adapters.bus import Bus
from urlshot.core import events
from urlshot.core.messages import QUEUES, RETURNED
from urlshot.core.records import Record

FUNCTIONS = sorted(SETTINGS)


@pytest.fixture(scope="module")
def whole() -> Deployment:
    return deployment()


def function(whole: Deployment, name: str) -> Resource:
    return whole.functions[name]


def test_every_function_is_deployed(whole: Deployment) -> None:
    assert sorted(whole.functions) == FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_is_in_its_room(whole: Deployment, name: str) -> None:
    module, _, attribute = function(whole, name).require("Handler").rpartition(".")
    file = PROJECT / Path(*module.split(".")).with_suffix(".py")
    assert file.parent == PROJECT / "functions" / name.removesuffix("Function").lower()
    assert f"def {attribute}(" in file.read_text("utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_environment_is_complete(whole: Deployment, name: str) -> None:
    there = function(whole, name).require("Environment")["Variables"].keys()
    settings = SETTINGS[name]
    fields = settings.model_fields if settings else {}
    needed = {field.upper() for field, info in fields.items() if info.is_required()}
    lambdas_own = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
    assert needed - lambdas_own <= there
    assert not {key for key in there if key.startswith(("AWS_", "LOCAL_"))}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_globals_are_merged_as_sam_merges_them(whole: Deployment, name: str) -> None:
    """The local stack merges them itself, because SAM's transform takes too long for its start."""
    by_sam, here = function(whole, name), Template(TEMPLATE, Symbols(), EVERYTHING)
    for nested in by_sam.path[:-1]:
        here = here.nested(nested)
    for key in ("MemorySize", "Timeout", "Environment", "LoggingConfig", "VpcConfig", "Runtime", "Architectures"):
        assert by_sam.property(key) == here.resources[name].property(key), key
    assert len(by_sam.require("Layers")) == len(here.resources[name].require("Layers"))


# ---- order ----------------------------------------------------------------------------------------------------------


def test_template_has_no_circular_dependency(whole: Deployment) -> None:
    for path in whole.templates:
        TopologicalSorter(whole.neighbours(path)).prepare()


@pytest.mark.parametrize(
    "back",
    [
        {"Properties": {"Name": {"Ref": "A"}}},
        {"Properties": {"Name": {"Fn::GetAtt": ["A", "Arn"]}}},
        {"Properties": {"Name": {"Fn::Sub": "x-${A.Arn}"}}},
        {"Properties": {"Name": {"Fn::Sub": ["x-${B}", {"B": {"Ref": "A"}}]}}},
        {"DependsOn": "A"},
        {"DependsOn": ["A"]},
    ],
)
def test_a_circle_would_be_found(tmp_path: Path, back: dict[str, Any]) -> None:
    body = {
        "Resources": {
            "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "C"}}},
            "B": {"Type": "AWS::SQS::Queue", **back},
            "C": {"Type": "AWS::SQS::Queue", "DependsOn": "B"},
        }
    }
    file = tmp_path / "template.yaml"
    file.write_text(json.dumps(body), "utf-8")
    with pytest.raises(CycleError):
        TopologicalSorter(Deployment(Template(file, Symbols())).neighbours(())).prepare()


def test_users_of_the_queues_depend_on_their_declaration(whole: Deployment) -> None:
    """A mapping of a missing queue fails, and so does a publish to a missing exchange."""
    [topology] = [one for one in whole.resources.values() if one.type.startswith("Custom::")]
    mappings = [one for one in whole.of_type("AWS::Lambda::EventSourceMapping") if one.property("Queues") is not None]
    assert mappings
    for mapping in mappings:
        assert topology.path in whole.needs(mapping), mapping.where
    for name in ("ApiFunction", "DispatchFunction", "SettleFunction"):
        assert topology.path in whole.needs(function(whole, name))


def test_topology_depends_on_the_broker(whole: Deployment) -> None:
    [topology] = [one for one in whole.resources.values() if one.type.startswith("Custom::")]
    [broker] = whole.of_type("AWS::AmazonMQ::Broker")
    assert broker.path in whole.needs(topology)


# ---- event sources --------------------------------------------------------------------------------------------------


def test_each_work_queue_is_consumed_by_dispatch(whole: Deployment) -> None:
    mappings = [one for one in whole.of_type("AWS::Lambda::EventSourceMapping") if one.property("Queues") is not None]
    assert [one.require("Queues") for one in mappings] == [[queue] for queue in (*QUEUES.values(), RETURNED)]
    [broker] = whole.of_type("AWS::AmazonMQ::Broker")
    for mapping in mappings:
        assert 0 <= mapping.require("MaximumBatchingWindowInSeconds") <= 300  # Lambda's rule
        assert whole.at(mapping.require("FunctionName")).logical_id == "DispatchFunction"
        assert whole.at(mapping.require("EventSourceArn")) == broker
        access = {one["Type"]: one["URI"] for one in mapping.require("SourceAccessConfigurations")}
        reads = {resource for one in of_role(whole, "DispatchFunction", "secretsmanager:GetSecretValue")
                 for resource in one["Resource"]}  # fmt: skip
        assert access["BASIC_AUTH"] in reads


def test_reader_of_an_sqs_queue_has_its_permissions(whole: Deployment) -> None:
    """Source: "Using Lambda with Amazon SQS", execution role permissions."""
    for mapping in whole.of_type("AWS::Lambda::EventSourceMapping"):
        source = mapping.require("EventSourceArn")
        if whole.at(source).type == "AWS::SQS::Queue":
            reader = whole.at(mapping.require("FunctionName")).logical_id
            for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
                assert any(source in one["Resource"] for one in of_role(whole, reader, action)), (reader, action)


def real_events() -> list[dict[str, Any]]:
    """Returns the events that the adapter of the bus sends, in the form that rules match."""
    now = datetime(2026, 11, 23, 14, 19, 11, tzinfo=UTC)
    ended = {"id": "a" * 40, "url": "https://example.com/", "options": {}, "generation": "b" * 16, "attempt": 1,
             "requested_at": now, "finished_at": now, "lease_until": now}  # fmt: skip
    error = {"code": "timeout", "title": "", "detail": "", "remedy": "", "retryable": True}
    failed = events.detail(Record(**ended, state="failed", error=error), "bucket")
    details = [
        events.detail(Record(**ended, state="done"), "bucket"),
        failed,
        events.cached("a" * 40, "https://example.com/", "bucket", now, None),
        events.announced_again(failed, ("callback-1",)),
    ]
    sent: list[Any] = []

    class Client:
        def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
            sent.extend(Entries)
            return {"Entries": [{} for _ in Entries]}

    Bus("bus", Client()).put(details)  # type: ignore[arg-type] - the only method that it calls
    return [
        {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
        for entry in sent
    ]


def rules(whole: Deployment) -> list[Resource]:
    return [rule for rule in whole.of_type("AWS::Events::Rule") if rule.property("EventPattern") is not None]


def test_rules_match_our_events_and_nothing_else(whole: Deployment) -> None:
    ours = real_events()
    assert {one["detail-type"] for one in ours} == {"ShotCompleted", "ShotFailed"}
    others = [{**ours[0], "source": "aws.s3"}, {**ours[0], "detail-type": "ShotStarted"}]
    assert len(rules(whole)) >= 4
    for rule in rules(whole):
        pattern = EventPattern.load(json.dumps(rule.require("EventPattern")))
        assert [pattern.matches_event(one) for one in (*ours, *others)] == [True] * len(ours) + [False, False], (
            rule.where
        )
        assert whole.at(rule.require("EventBusName")).type == "AWS::Events::EventBus"


def test_undelivered_event_of_a_rule_is_kept(whole: Deployment) -> None:
    for rule in rules(whole):
        for target in rule.require("Targets"):
            letters = target["DeadLetterConfig"]["Arn"]
            assert_open_to_events(whole, letters, rule)
            assert int(target["RetryPolicy"]["MaximumEventAgeInSeconds"]) <= 86_400  # EventBridge's longest
            arn = target["Arn"]
            if whole.at(arn).type == "AWS::SQS::Queue":
                assert_open_to_events(whole, arn, rule)
            else:
                assert_invocable(whole, arn, rule)


def assert_open_to_events(whole: Deployment, queue: str, rule: Resource) -> None:
    """Asserts that the queue's policy lets EventBridge send messages for this rule, and not for other accounts."""
    allowed = []
    for policy in whole.of_type("AWS::SQS::QueuePolicy"):
        for statement in policy.require("PolicyDocument")["Statement"]:
            if statement["Effect"] == "Allow" and statement["Resource"] == queue:
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                assert statement["Action"] == "sqs:SendMessage"
                assert whole.at(queue).path in {whole.at(one).path for one in policy.require("Queues")}
                [condition] = statement["Condition"].values()
                allowed.append(condition["aws:SourceArn"])
    bus = rule.require("EventBusName")
    assert any(arn == f"${{{name_of(rule)}.Arn}}" or arn.endswith(f":rule/{bus}/*") for arn in allowed), (
        queue,
        rule.where,
    )


def assert_invocable(whole: Deployment, function_arn: str, rule: Resource) -> None:
    """Asserts that the rule may invoke the function."""
    permissions = [one for one in whole.of_type("AWS::Lambda::Permission")
                   if one.require("SourceArn") == f"${{{name_of(rule)}.Arn}}"]  # fmt: skip
    [permission] = permissions
    assert whole.at(permission.require("FunctionName")) == whole.at(function_arn)
    assert permission.require("Principal") == "events.amazonaws.com"


def test_event_that_a_function_cannot_handle_is_kept(whole: Deployment) -> None:
    """A rule's retries end when Lambda accepts the event. From then on the function's destination counts."""
    given = {
        whole.at(target["Arn"]).logical_id
        for rule in rules(whole)
        for target in rule.require("Targets")
        if whole.at(target["Arn"]).type == "AWS::Lambda::Function"
    }
    assert given == stack(**EVERYTHING).fed_by("EventBridgeRule")
    kept = {
        name: destinations["OnFailure"]
        for name, destinations in asynchronous_destinations(whole).items()
        if whole.at(destinations["OnFailure"]).type == "AWS::SQS::Queue"
    }
    assert given == set(kept)
    for name, destination in kept.items():
        assert any(destination in one["Resource"] for one in of_role(whole, name, "sqs:SendMessage")), name


def asynchronous_destinations(whole: Deployment) -> dict[str, dict[str, str]]:
    """Returns the destinations of the asynchronous invocations of each function."""
    found = {}
    for config in whole.of_type("AWS::Lambda::EventInvokeConfig"):
        name = whole.at(config.require("FunctionName")).logical_id
        if given := config.property("DestinationConfig"):
            found[name] = {kind: one["Destination"] for kind, one in given.items()}
    return found


def test_role_of_render_may_deliver_its_results_to_settle(whole: Deployment) -> None:
    """Lambda delivers with the role of render, and checks its permission when the destination is configured."""
    found = asynchronous_destinations(whole)
    assert "SettleFunction" not in found
    assert found["RenderFunction"].keys() == {"OnSuccess", "OnFailure"}
    assert {whole.at(one).logical_id for one in found["RenderFunction"].values()} == {"SettleFunction"}
    [statement] = of_role(whole, "RenderFunction", "lambda:InvokeFunction")
    name = function(whole, "SettleFunction").require("FunctionName")
    assert [one.rpartition(":function:")[2] for one in statement["Resource"]] == [name]
    [config] = [
        one
        for one in whole.of_type("AWS::Lambda::EventInvokeConfig")
        if whole.at(one.require("FunctionName")).logical_id == "RenderFunction"
    ]
    assert role_of(whole, function(whole, "RenderFunction")).path in whole.needs(config)


def test_dead_letters_are_kept_as_long_as_sqs_allows(whole: Deployment) -> None:
    for queue in whole.of_type("AWS::SQS::Queue"):
        if queue.property("RedrivePolicy") is not None:
            dead = whole.at(queue.require("RedrivePolicy")["deadLetterTargetArn"])
            assert dead.require("MessageRetentionPeriod") == 1_209_600  # SQS's longest


# ---- permissions ----------------------------------------------------------------------------------------------------


def of_role(whole: Deployment, name: str, action: str) -> list[dict[str, Any]]:
    """The statements of a function's role that are about an action."""
    found = statements(role_of(whole, function(whole, name)))
    return [one for one in found if one["Effect"] == "Allow" and action in one["Action"]]


def test_sam_makes_no_role_and_no_policy_of_its_own(whole: Deployment) -> None:
    """So that all that functions may do stands in our templates, where tests/unit/test_roles.py reads it."""
    owners = [name_of(role_of(whole, function(whole, name))) for name in FUNCTIONS]
    assert len(set(owners)) == len(owners)
    assert set(owners) == {name_of(role) for role in whole.of_type("AWS::IAM::Role")}
    assert not whole.of_type("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy")


def test_no_permission_is_for_all_resources(whole: Deployment) -> None:
    """The exceptions are network interfaces, whose names are not known in advance, and metrics."""
    for name in FUNCTIONS:
        for statement in statements(role_of(whole, function(whole, name))):
            assert not [one for one in statement["Action"] if one.endswith("*")], (name, statement)
            if "*" in statement["Resource"]:
                assert all(one.startswith(("ec2:", "cloudwatch:PutMetricData")) for one in statement["Action"]), name
