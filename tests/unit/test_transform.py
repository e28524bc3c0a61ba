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
from tests.deployment.roles import role_of, statements
from tests.deployment.whole import NO_VALUE, Deployment, Resource, deployment
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
    return whole.resources[(name,)]


def test_every_function_is_deployed(whole: Deployment) -> None:
    assert sorted(one.name for one in whole.of_type("AWS::Lambda::Function")) == FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_is_in_the_package_of_its_function(whole: Deployment, name: str) -> None:
    module, _, attribute = function(whole, name).properties["Handler"].rpartition(".")
    file = PROJECT / Path(*module.split(".")).with_suffix(".py")
    assert file.parent == PROJECT / "functions" / name.removesuffix("Function").lower()
    assert f"def {attribute}(" in file.read_text("utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_environment_of_a_function_is_complete(whole: Deployment, name: str) -> None:
    variables = function(whole, name).properties["Environment"]["Variables"]
    there = {key for key, value in variables.items() if value != NO_VALUE}
    settings = SETTINGS[name]
    fields = settings.model_fields if settings else {}
    needed = {field.upper() for field, info in fields.items() if info.is_required()}
    lambdas_own = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
    assert needed - lambdas_own <= there
    assert not {key for key in there if key.startswith(("AWS_", "LOCAL_"))}


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
def test_circular_dependency_is_found(back: dict[str, Any]) -> None:
    template = {
        "Resources": {
            "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "C"}}},
            "B": {"Type": "AWS::SQS::Queue", **back},
            "C": {"Type": "AWS::SQS::Queue", "DependsOn": "B"},
        }
    }
    with pytest.raises(CycleError):
        TopologicalSorter(Deployment(template, PROJECT).neighbours(())).prepare()


def test_users_of_the_queues_depend_on_their_declaration(whole: Deployment) -> None:
    """A mapping of a missing queue fails, and so does a publish to a missing exchange."""
    [topology] = [one for one in whole.resources.values() if one.type.startswith("Custom::")]
    mappings = [one for one in whole.of_type("AWS::Lambda::EventSourceMapping") if "Queues" in one.properties]
    assert mappings
    for mapping in mappings:
        assert topology.path in whole.needs(mapping), mapping.name
    for name in ("ApiFunction", "DispatchFunction", "SettleFunction"):
        assert topology.path in whole.needs(function(whole, name))


def test_topology_depends_on_the_broker(whole: Deployment) -> None:
    [topology] = [one for one in whole.resources.values() if one.type.startswith("Custom::")]
    [broker] = whole.of_type("AWS::AmazonMQ::Broker")
    assert broker.path in whole.needs(topology)


# ---- event sources --------------------------------------------------------------------------------------------------


def test_each_work_queue_is_consumed_by_dispatch(whole: Deployment) -> None:
    mappings = [one for one in whole.of_type("AWS::Lambda::EventSourceMapping") if "Queues" in one.properties]
    assert [one.properties["Queues"] for one in mappings] == [[queue] for queue in (*QUEUES.values(), RETURNED)]
    [broker] = whole.of_type("AWS::AmazonMQ::Broker")
    for mapping in mappings:
        assert 0 <= mapping.properties["MaximumBatchingWindowInSeconds"] <= 300  # Lambda's rule
        assert whole.at(whole.text(mapping, mapping.properties["FunctionName"])).name == "DispatchFunction"
        assert whole.at(whole.text(mapping, mapping.properties["EventSourceArn"])) == broker
        access = {
            one["Type"]: whole.text(mapping, one["URI"]) for one in mapping.properties["SourceAccessConfigurations"]
        }
        reads = {resource for one in of_role(whole, "DispatchFunction", "secretsmanager:GetSecretValue")
                 for resource in one["Resource"]}  # fmt: skip
        assert access["BASIC_AUTH"] in reads


def test_reader_of_an_sqs_queue_has_its_permissions(whole: Deployment) -> None:
    """Source: "Using Lambda with Amazon SQS", execution role permissions."""
    for mapping in whole.of_type("AWS::Lambda::EventSourceMapping"):
        source = whole.text(mapping, mapping.properties["EventSourceArn"])
        if whole.at(source).type == "AWS::SQS::Queue":
            reader = whole.at(whole.text(mapping, mapping.properties["FunctionName"])).name
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
        events.told_again(failed, ("callback-1",)),
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
    return [rule for rule in whole.of_type("AWS::Events::Rule") if "EventPattern" in rule.properties]


def test_rules_match_our_events_and_nothing_else(whole: Deployment) -> None:
    ours = real_events()
    assert {one["detail-type"] for one in ours} == {"ShotCompleted", "ShotFailed"}
    others = [{**ours[0], "source": "aws.s3"}, {**ours[0], "detail-type": "ShotStarted"}]
    assert len(rules(whole)) >= 4
    for rule in rules(whole):
        pattern = EventPattern.load(json.dumps(rule.properties["EventPattern"]))
        assert [pattern.matches_event(one) for one in (*ours, *others)] == [True] * len(ours) + [False, False], (
            rule.name
        )
        assert whole.at(whole.text(rule, rule.properties["EventBusName"])).type == "AWS::Events::EventBus"


def test_undelivered_event_of_a_rule_is_kept(whole: Deployment) -> None:
    for rule in rules(whole):
        for target in rule.properties["Targets"]:
            letters = whole.text(rule, target["DeadLetterConfig"]["Arn"])
            assert_open_to_events(whole, letters, rule)
            assert int(target["RetryPolicy"]["MaximumEventAgeInSeconds"]) <= 86_400  # EventBridge's maximum
            arn = whole.text(rule, target["Arn"])
            if whole.at(arn).type == "AWS::SQS::Queue":
                assert_open_to_events(whole, arn, rule)
            else:
                assert_invocable(whole, arn, rule)


def assert_open_to_events(whole: Deployment, queue: str, rule: Resource) -> None:
    """Asserts that the queue's policy lets EventBridge send messages for this rule, and not for other accounts."""
    allowed = []
    for policy in whole.of_type("AWS::SQS::QueuePolicy"):
        for statement in whole.plain(policy, policy.properties["PolicyDocument"])["Statement"]:
            if statement["Effect"] == "Allow" and statement["Resource"] == queue:
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                assert statement["Action"] == "sqs:SendMessage"
                assert whole.at(queue).path in {
                    whole.at(whole.text(policy, one)).path for one in policy.properties["Queues"]
                }
                [condition] = statement["Condition"].values()
                allowed.append(condition["aws:SourceArn"])
    bus = whole.text(rule, rule.properties["EventBusName"])
    assert any(arn == f"${{{rule.name}.Arn}}" or arn.endswith(f":rule/{bus}/*") for arn in allowed), (queue, rule.name)


def assert_invocable(whole: Deployment, function_arn: str, rule: Resource) -> None:
    """Asserts that the rule may invoke the function."""
    permissions = [one for one in whole.of_type("AWS::Lambda::Permission")
                   if whole.text(one, one.properties["SourceArn"]) == f"${{{rule.name}.Arn}}"]  # fmt: skip
    [permission] = permissions
    assert whole.at(whole.text(permission, permission.properties["FunctionName"])) == whole.at(function_arn)
    assert permission.properties["Principal"] == "events.amazonaws.com"


def test_event_that_a_function_cannot_handle_is_kept(whole: Deployment) -> None:
    """A rule's retries end when Lambda accepts the event. From then on the function's destination counts."""
    given = {
        whole.at(whole.text(rule, target["Arn"])).name
        for rule in rules(whole)
        for target in rule.properties["Targets"]
        if whole.at(whole.text(rule, target["Arn"])).type == "AWS::Lambda::Function"
    }
    assert given == {"LogFunction", "MailFunction", "MetricFunction"}
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
        name = whole.at(whole.text(config, config.properties["FunctionName"])).name
        if given := config.properties.get("DestinationConfig"):
            found[name] = {kind: whole.text(config, one["Destination"]) for kind, one in given.items()}
    return found


def test_role_of_render_may_deliver_its_results_to_settle(whole: Deployment) -> None:
    """Lambda delivers with the role of render, and checks its permission when the destination is configured."""
    found = asynchronous_destinations(whole)
    assert "SettleFunction" not in found
    assert found["RenderFunction"].keys() == {"OnSuccess", "OnFailure"}
    assert {whole.at(one).name for one in found["RenderFunction"].values()} == {"SettleFunction"}
    [statement] = of_role(whole, "RenderFunction", "lambda:InvokeFunction")
    name = whole.text(function(whole, "SettleFunction"), function(whole, "SettleFunction").properties["FunctionName"])
    assert [one.rpartition(":function:")[2] for one in statement["Resource"]] == [name]
    [config] = [
        one
        for one in whole.of_type("AWS::Lambda::EventInvokeConfig")
        if whole.at(whole.text(one, one.properties["FunctionName"])).name == "RenderFunction"
    ]
    assert role_of(whole, function(whole, "RenderFunction")).path in whole.needs(config)


def test_dead_letters_are_kept_as_long_as_sqs_allows(whole: Deployment) -> None:
    for queue in whole.of_type("AWS::SQS::Queue"):
        if "RedrivePolicy" in queue.properties:
            dead = whole.at(whole.text(queue, queue.properties["RedrivePolicy"]["deadLetterTargetArn"]))
            assert dead.properties["MessageRetentionPeriod"] == 1_209_600  # SQS's maximum


# ---- permissions ----------------------------------------------------------------------------------------------------


def of_role(whole: Deployment, name: str, action: str) -> list[dict[str, Any]]:
    """Returns the statements of a function's role that allow an action."""
    found = statements(whole, role_of(whole, function(whole, name)))
    return [one for one in found if one["Effect"] == "Allow" and action in one["Action"]]


def test_sam_adds_no_role_and_no_policy(whole: Deployment) -> None:
    """All permissions of functions must be in infra/roles.yaml, which tests/unit/test_roles.py checks."""
    owners = [role_of(whole, function(whole, name)).name for name in FUNCTIONS]
    assert len(set(owners)) == len(owners)
    assert set(owners) == {role.name for role in whole.of_type("AWS::IAM::Role")}
    assert all(name.startswith("Roles.") for name in owners)
    assert not whole.of_type("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy")


def test_no_permission_is_for_all_resources(whole: Deployment) -> None:
    """The exceptions are network interfaces, whose names are not known in advance, and metrics."""
    for name in FUNCTIONS:
        for statement in statements(whole, role_of(whole, function(whole, name))):
            assert not [one for one in statement["Action"] if one.endswith("*")], (name, statement)
            if "*" in statement["Resource"]:
                assert all(one.startswith(("ec2:", "cloudwatch:PutMetricData")) for one in statement["Action"]), name
