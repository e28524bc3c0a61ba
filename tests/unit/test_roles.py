"""Every role of the stack allows exactly the listed actions, and every function has its own log."""

from __future__ import annotations

import pytest

from tests.unit.stacks import ADDRESSES, EVERYTHING, PRIVATE, PUBLIC, may, short, stack

LISTS = ("s3:ListBucket", "bucket")
UNDELIVERED = ("sqs:SendMessage", "UndeliveredEvents")
INTERFACES = {
    "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
}  # fmt: skip
MAY: dict[str, set[tuple[str, str]]] = {
    "Topology": {
        ("secretsmanager:GetSecretValue", name)
        for name in ("AdminSecret", "ApiSecret", "DispatchSecret", "SettleSecret", "WatchSecret")
    },
    "Api": {
        ("s3:GetObject", "bucket/job/*"), ("s3:PutObject", "bucket/job/*"), ("s3:DeleteObject", "bucket/job/*"),
        ("s3:GetObject", "bucket/wait/*"), ("s3:PutObject", "bucket/wait/*"), ("s3:DeleteObject", "bucket/wait/*"),
        ("s3:GetObject", "bucket/pdf/*"), ("s3:DeleteObject", "bucket/pdf/*"),
        ("s3:PutObject", "bucket/sub/*"), ("s3:DeleteObject", "bucket/sub/*"), LISTS,
        ("secretsmanager:GetSecretValue", "ApiSecret"), ("secretsmanager:GetSecretValue", "LinkSecret"),
        ("secretsmanager:GetSecretValue", "WebhookSecret"), ("events:PutEvents", "bus"),
    },
    "Dispatch": {
        ("s3:GetObject", "bucket/job/*"), ("s3:PutObject", "bucket/job/*"),
        ("s3:GetObject", "bucket/slot/*"), ("s3:PutObject", "bucket/slot/*"), ("s3:DeleteObject", "bucket/slot/*"),
        ("s3:GetObject", "bucket/pdf/*"), ("s3:PutObject", "bucket/pdf/*"), ("s3:DeleteObject", "bucket/pdf/*"),
        ("s3:GetObject", "bucket/upload/*"), ("s3:PutObject", "bucket/upload/*"), LISTS,
        ("secretsmanager:GetSecretValue", "DispatchSecret"), ("lambda:InvokeFunction", "render"),
        ("events:PutEvents", "bus"), ("mq:DescribeBroker", "Broker:b-broker-broker"),
        ("ec2:DescribeSecurityGroups", "*"), ("ec2:DescribeVpcs", "*"), *((action, "*") for action in INTERFACES),
    },
    "Render": {("lambda:InvokeFunction", "settle")},
    "Settle": {
        ("s3:GetObject", "bucket/job/*"), ("s3:PutObject", "bucket/job/*"),
        ("s3:GetObject", "bucket/slot/*"), ("s3:DeleteObject", "bucket/slot/*"), ("s3:GetObject", "bucket/upload/*"),
        ("s3:GetObject", "bucket/pdf/*"), ("s3:PutObject", "bucket/pdf/*"), ("s3:DeleteObject", "bucket/pdf/*"), LISTS,
        ("secretsmanager:GetSecretValue", "SettleSecret"), ("events:PutEvents", "bus"),
    },
    "Log": {UNDELIVERED},
    "Metric": {UNDELIVERED},
    "Mail": {
        UNDELIVERED, ("ses:SendEmail", "identity/*"), ("secretsmanager:GetSecretValue", "LinkSecret"),
        ("s3:GetObject", "bucket/claim/mail/*"), ("s3:PutObject", "bucket/claim/mail/*"),
        ("s3:GetObject", "bucket/sub/*/mail-*"), ("s3:DeleteObject", "bucket/sub/*/mail-*"), LISTS,
    },
    "Callback": {
        *((f"sqs:{verb}", "CallbackQueue") for verb in (
            "ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility", "SendMessage",
        )),
        ("s3:GetObject", "bucket/claim/callback/*"), ("s3:PutObject", "bucket/claim/callback/*"),
        ("s3:GetObject", "bucket/sub/*/callback-*"), ("s3:DeleteObject", "bucket/sub/*/callback-*"), LISTS,
        ("secretsmanager:GetSecretValue", "LinkSecret"), ("secretsmanager:GetSecretValue", "WebhookSecret"),
        ("secretsmanager:GetSecretValue", EVERYTHING["SymmetricWebhookSecretArn"].rpartition(":")[2]),
    },
    "Watch": {
        ("s3:GetObject", "bucket/watch/*"), ("s3:PutObject", "bucket/watch/*"), LISTS,
        ("secretsmanager:GetSecretValue", "WatchSecret"),
    },
}  # fmt: skip


@pytest.mark.parametrize("mode", [PRIVATE, PUBLIC], ids=["private", "public"])
@pytest.mark.parametrize("room", MAY)
def test_a_function_may_do_this_and_nothing_else(room: str, mode: dict[str, str]) -> None:
    made = stack(**EVERYTHING | mode)
    function, role = made.functions[f"{room}Function"], made.role(room)
    assert function.require("Role") == ADDRESSES.attribute(role, "Arn")
    assert "Policies" not in function.body["Properties"]  # SAM leaves them out where there is a role, without a word
    log = ADDRESSES.attribute(made.log_group(room), "Arn")
    own = {("logs:CreateLogStream", log), ("logs:PutLogEvents", log)}
    assert own <= may(made, room)
    assert {(action, short(resource)) for action, resource in may(made, room) - own} == MAY[room]
    # In both modes: Lambda deletes a function's network interfaces after it has left the VPC.
    attached = f"{room}Function" in made.attached - {"DispatchFunction"}
    assert role.property("ManagedPolicyArns") == (["urlshot-Roles-AttachPolicy"] if attached else None)
    assert role.require("AssumeRolePolicyDocument")["Statement"] == [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]


def test_every_function_and_nothing_else_has_a_tested_role() -> None:
    made = stack(**EVERYTHING)
    assert {name.removesuffix("Function") for name in made.functions} == MAY.keys()
    assert sorted(one.logical_id for one in made.of("AWS::IAM::Role").values()) == sorted(f"{room}Role" for room in MAY)
    assert set(made.of("AWS::IAM::ManagedPolicy")) == {"Roles.AttachPolicy"}


@pytest.mark.parametrize(("base", "target"), [("Dispatch", "Render"), ("Render", "Settle")])
def test_function_may_invoke_the_next_one_by_its_exact_name(base: str, target: str) -> None:
    made = stack()
    [name] = [resource for action, resource in may(made, base) if action == "lambda:InvokeFunction"]
    assert name.endswith(f":function:{made[f'{target}Function'].require('FunctionName')}")


def test_only_lambda_itself_may_use_the_permissions_for_interfaces() -> None:
    allow, deny = stack()["Roles.AttachPolicy"].require("PolicyDocument")["Statement"]
    assert (allow["Effect"], set(allow["Action"])) == ("Allow", INTERFACES)
    assert (deny["Effect"], deny["Action"], deny["Resource"]) == ("Deny", "ec2:*", "*")
    assert deny["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


def test_switching_network_mode_changes_no_permission() -> None:
    """A stack updates roles before functions, and Lambda deletes interfaces after that."""
    private, public = stack(**EVERYTHING | PRIVATE), stack(**EVERYTHING | PUBLIC)
    for name, role in private.of("AWS::IAM::Role").items():
        for part in ("Policies", "ManagedPolicyArns"):
            assert role.property(part) == public[name].property(part), name
    policy = "Roles.AttachPolicy"
    assert private[policy].require("PolicyDocument") == public[policy].require("PolicyDocument")


@pytest.mark.parametrize(("to", "there"), [({}, False), ({"MailTo": "b@example.com"}, True)])
def test_mail_role_exists_exactly_if_the_mail_function_does(to: dict[str, str], there: bool) -> None:
    made = stack(MailFrom="a@example.com", **to)
    assert [f"Consumers.Mail{part}" in made for part in ("Function", "Role", "Logs")] == [there] * 3


def test_only_callback_reads_the_symmetric_secret() -> None:
    arn = EVERYTHING["SymmetricWebhookSecretArn"]
    without, made = stack(**EVERYTHING | {"SymmetricWebhookSecretArn": ""}), stack(**EVERYTHING)
    assert may(made, "Callback") - may(without, "Callback") == {("secretsmanager:GetSecretValue", arn)}
    assert [base for base in MAY if any(resource == arn for _, resource in may(made, base))] == ["Callback"]


def test_mails_are_sent_from_one_address_only() -> None:
    statements = stack(**EVERYTHING).role("Mail").require("Policies")[0]["PolicyDocument"]["Statement"]
    [ses] = [one for one in statements if one["Action"] == "ses:SendEmail"]
    assert ses["Condition"] == {"StringEquals": {"ses:FromAddress": EVERYTHING["MailFrom"]}}


def test_every_function_has_a_log_of_its_own_that_is_kept_for_log_days() -> None:
    made = stack(**EVERYTHING | {"LogDays": "7"})
    groups = made.of("AWS::Logs::LogGroup")
    assert len(groups) == len(made.functions)
    for name, function in made.functions.items():
        room = name.removesuffix("Function")
        group = made.log_group(room)
        assert function.require("LoggingConfig")["LogGroup"] in (group.require("LogGroupName"), ADDRESSES.ref(group))
        assert group.require("LogGroupName") == f"/urlshot/urlshot/{room.lower()}"
        assert group.require("RetentionInDays") == "7"


@pytest.mark.parametrize("name", ["RenderConcurrency", "SettleConcurrency", "ApiConcurrency"])
def test_concurrency_of_zero_reserves_none(name: str) -> None:
    function = f"{name.removesuffix('Concurrency')}Function"
    assert stack()[function].property("ReservedConcurrentExecutions") is None
    assert stack(**{name: "3"})[function].property("ReservedConcurrentExecutions") == "3"
