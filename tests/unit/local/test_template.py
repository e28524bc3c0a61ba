"""The local stack evaluates templates as CloudFormation does, and refuses everything that it does not know."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.template.addresses import LocalAddresses
from infra.local.template.application import read_application, schedule_seconds
from infra.local.template.evaluator import OMITTED, Template, TemplateError, with_globals
from infra.local.template.model import Route
from tests.unit.stacks import EVERYTHING, stack

PROJECT = Path(__file__).resolve().parents[3]
ADDRESSES = LocalAddresses("http://127.0.0.1:1", "amqp://127.0.0.1:2", "http://127.0.0.1:3")

HEAD = """
Parameters:
  Stage: {Type: String, Default: prod, AllowedPattern: "[a-z]+"}
  Count: {Type: Number, Default: 3, MinValue: 1, MaxValue: 5}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
  Kind: {Type: String, Default: x, AllowedValues: [x, y]}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsThree: !Equals [!Ref Count, 3]
  Both: !And [!Condition IsProd, !Condition IsThree]
  Neither: !Not [!Or [!Condition IsProd, !Equals [a, a]]]
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: !Sub "${AWS::StackName}-bus"}}
  Gone: {Type: AWS::SQS::Queue, Condition: Neither}
  Letters: {Type: AWS::SQS::Queue}
"""


def template(tmp_path: Path, text: str = HEAD, **given: Any) -> Template:
    file = tmp_path / "template.yaml"
    file.write_text(text, "utf-8")
    return Template(file, ADDRESSES, given)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"Ref": "Stage"}, "prod"),
        ({"Ref": "Count"}, "3"),
        ({"Ref": "Names"}, ["a", "b"]),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "Bus"}, "urlshot-bus"),
        ({"Ref": "Letters"}, "http://127.0.0.1:1/123456789012/urlshot-Letters"),
        ({"Ref": "AWS::NoValue"}, OMITTED),
        ({"Fn::GetAtt": ["Letters", "Arn"]}, "arn:aws:sqs:us-east-1:123456789012:urlshot-Letters"),
        ({"Fn::GetAtt": "Bus.Arn"}, "arn:aws:events:us-east-1:123456789012:event-bus/urlshot-bus"),
        ({"Fn::Sub": "${Stage}/${Bus.Name}/${!Stage}"}, "prod/urlshot-bus/${Stage}"),
        ({"Fn::Sub": ["${own}-${Stage}", {"own": {"Ref": "Count"}}]}, "3-prod"),
        ({"Fn::If": ["IsProd", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Neither", "yes", "no"]}, "no"),
        ({"Fn::If": ["Both", [1, {"Ref": "AWS::NoValue"}], 2]}, [1]),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ({"Fn::Select": [1, {"Ref": "Names"}]}, "b"),
        ({"Fn::Select": ["0", ["x"]]}, "x"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}, 1]]}, "a-prod-1"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Join": ["", {"Fn::Split": ["-", {"Ref": "AWS::Region"}]}]}, "useast1"),
        ({"Fn::Cidr": ["10.0.0.0/23", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "us-east-1b"),
        ({"Fn::Equals": [3, "3"]}, True),
        (
            {"Effect": "Allow", "Condition": {"StringEquals": {}}},
            {"Effect": "Allow", "Condition": {"StringEquals": {}}},
        ),
    ],
)
def test_known_intrinsic_gives_what_cloudformation_gives(tmp_path: Path, node: Any, expected: Any) -> None:
    assert template(tmp_path).evaluate(node, "here") == expected


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"Fn::ImportValue": "x"}, "here: the local stack does not know Fn::ImportValue"),
        ({"a": [{"Fn::Base64": "x"}]}, "here/a[0]: the local stack does not know Fn::Base64"),
        ({"Ref": "Nobody"}, "Nobody does not exist"),
        ({"Ref": "Gone"}, "Gone is not created"),
        ({"Ref": "AWS::NotificationARNs"}, "does not exist"),
        ({"Fn::GetAtt": ["Bus", "Colour"]}, "has no Colour"),
        ({"Fn::GetAtt": ["Bus"]}, "not [resource, attribute]"),
        ({"Fn::Sub": "${Nobody.Arn}"}, "Nobody does not exist"),
        ({"Fn::Sub": "${Names}"}, "not a scalar"),
        ({"Fn::If": ["Nobody", 1, 2]}, "no condition"),
        ({"Fn::If": ["IsProd", 1]}, "a list of 3"),
        ({"Fn::Select": [2, ["a"]]}, "no element 2"),
        ({"Fn::Cidr": ["10.0.0.0/25", 2, 8]}, "here/Fn::Cidr: "),
        ({"Ref": "Stage", "Fn::Sub": "x"}, "stands beside other keys"),
    ],
)
def test_unknown_or_wrong_intrinsic_is_an_error_that_says_where(tmp_path: Path, node: Any, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        template(tmp_path).evaluate(node, "here")
    assert message in str(caught.value)


def test_included_file_is_evaluated_in_place(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("{a: {Ref: Stage}, b: {Fn::If: [IsProd, 1, 2]}, c: {Ref: AWS::NoValue}}")
    node = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "part.yaml"}}}
    assert template(tmp_path).evaluate(node, "here") == {"a": "prod", "b": 1}
    with pytest.raises(TemplateError, match="no transform but AWS::Include"):
        template(tmp_path).evaluate({"Fn::Transform": {"Name": "Mine"}}, "here")
    (tmp_path / "part.yaml").write_text("{a: {Ref: Nobody}}")
    with pytest.raises(TemplateError, match=r"here/Fn::Transform \(part.yaml\)/a/Ref: Nobody does not exist"):
        template(tmp_path).evaluate(node, "here")


def test_api_integrates_functions_of_this_stack_only(tmp_path: Path) -> None:
    text = """
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: prod
      DefinitionBody:
        paths: {/x: {get: {x-amazon-apigateway-integration: {type: http_proxy, uri: "https://example.com/"}}}}
"""
    with pytest.raises(TemplateError, match="not a proxy integration"):
        read_application(template(tmp_path, text), ADDRESSES)


def test_circular_conditions_are_an_error(tmp_path: Path) -> None:
    text = "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}\nResources: {}\n"
    with pytest.raises(TemplateError, match="in a circle"):
        template(tmp_path, text).condition("A", "here")


NESTED = """
Resources:
  A: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: part.yaml, Parameters: {Given: %s}}}
  B: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: part.yaml, Parameters: {Given: %s}}}
"""


def test_nested_stack_uses_the_output_of_another(tmp_path: Path) -> None:
    part = "{Parameters: {Given: {Type: String}}, Resources: {}, Outputs: {Taken: {Value: !Sub '${Given}!'}}}"
    (tmp_path / "part.yaml").write_text(part)
    text = NESTED % ("!GetAtt B.Outputs.Taken", "hello")
    assert template(tmp_path, text).nested("A").output("Taken") == "hello!!"
    with pytest.raises(TemplateError, match="in a circle"):
        template(tmp_path, NESTED % ("!GetAtt B.Outputs.Taken", "!GetAtt A.Outputs.Taken")).nested("A")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Stage": "Prod"}, "must match"),
        ({"Count": 6}, "outside 1..5"),
        ({"Count": "many"}, "is not a number"),
        ({"Kind": "z"}, "must be one of"),
        ({"Colour": "red"}, "unknown parameters: Colour"),
    ],
)
def test_parameters_are_checked_as_on_deploy(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        template(tmp_path, **given)


def test_nested_stacks_that_need_each_other_are_an_error(tmp_path: Path) -> None:
    stack = "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: inner.yaml, Parameters: {P: !GetAtt OTHER}}}"
    (tmp_path / "inner.yaml").write_text("Parameters: {P: {Type: String}}\nOutputs: {O: {Value: !Ref P}}\n")
    text = "\n".join(f"  {one}: {stack.replace('OTHER', f'{other}.Outputs.O')}" for one, other in ("AB", "BA"))
    with pytest.raises(TemplateError, match="in a circle: Resources/A -> Resources/B -> Resources/A"):
        list(template(tmp_path, f"Resources:\n{text}\n").everything())


def test_unknown_type_of_resource_is_an_error(tmp_path: Path) -> None:
    text = "Resources: {Table: {Type: AWS::DynamoDB::Table}}"
    with pytest.raises(TemplateError, match="does not know AWS::DynamoDB::Table"):
        read_application(template(tmp_path, text), ADDRESSES)


MAPPING = """
Parameters:
  Works: {Type: String, Default: "true"}
Conditions:
  Wanted: !Equals [!Ref Works, "true"]
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
  B:
    Type: AWS::AmazonMQ::Broker
    Properties:
      Users:
        - Username: !Sub "{{resolve:secretsmanager:${S}:SecretString:username}}"
          Password: !Sub "{{resolve:secretsmanager:${S}:SecretString:password}}"
  S: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: "{}"}}
  M:
    Type: AWS::Lambda::EventSourceMapping
    CONDITION
    Properties:
      FunctionName: !Ref F
      EventSourceArn: !GetAtt B.Arn
      Queues: [q]
      SourceAccessConfigurations: [{Type: BASIC_AUTH, URI: !Ref S}, {Type: VIRTUAL_HOST, URI: /v}]
      MORE
"""


def mappings(tmp_path: Path, more: str = "", change: tuple[str, str] = ("", ""), **given: Any) -> Any:
    text = MAPPING.replace("MORE", more).replace("CONDITION", "").replace(*change)
    return read_application(template(tmp_path, text, **given), ADDRESSES).mappings


def test_mapping_has_the_defaults_of_lambda(tmp_path: Path) -> None:
    [mapping] = mappings(tmp_path)
    assert (mapping.function, mapping.queue, mapping.vhost, mapping.batch_size) == ("F", "q", "/v", 100)
    assert mapping.window is None
    assert mapping.secret.endswith(":secret:urlshot-S")


def test_mapping_sets_batch_and_window_and_names_its_function_by_arn(tmp_path: Path) -> None:
    [mapping] = mappings(
        tmp_path, "BatchSize: 7\n      MaximumBatchingWindowInSeconds: 2", ("!Ref F", "!GetAtt F.Arn"), Works="x"
    )
    assert (mapping.function, mapping.batch_size, mapping.window) == ("F", 7, 2.0)


def test_mapping_may_have_a_window_of_zero(tmp_path: Path) -> None:
    [mapping] = mappings(tmp_path, "MaximumBatchingWindowInSeconds: 0")
    assert mapping.window == 0


@pytest.mark.parametrize("more", ["Enabled: false", "Enabled: !Ref Works"])
def test_disabled_mapping_is_left_out(tmp_path: Path, more: str) -> None:
    assert mappings(tmp_path, more, Works="false") == ()


@pytest.mark.parametrize(("on", "count"), [("true", 1), ("false", 0)])
def test_mapping_may_have_a_condition(tmp_path: Path, on: str, count: int) -> None:
    text = MAPPING.replace("MORE", "").replace("CONDITION", "Condition: Wanted")
    assert len(read_application(template(tmp_path, text, Works=on), ADDRESSES).mappings) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Queues: [q]", "Queues: [q, r]"), "exactly one queue"),
        (("Queues: [q]", "FilterCriteria: {}"), "does not know FilterCriteria"),
        (("Queues: [q]", "BatchSize: 1"), "Queues is missing"),
        (
            ("Queues: [q]", "Queues: [q]\n      BatchSize: 10001"),
            "BatchSize: 10001 is not a whole number within 1..10000",
        ),
        (
            ("Queues: [q]", "Queues: [q]\n      MaximumBatchingWindowInSeconds: 0.5"),
            "0.5 is not a whole number within 0",
        ),
        (
            ("Queues: [q]", "Queues: [q]\n      MaximumBatchingWindowInSeconds: 301"),
            "301 is not a whole number within 0",
        ),
        (("!Ref F", "G"), "no function of this template"),
        (("!GetAtt B.Arn", "arn:other"), "no broker of this template"),
        (("BASIC_AUTH", "SASL"), "no SourceAccessConfigurations of Type BASIC_AUTH"),
    ],
)
def test_mapping_that_would_not_work_is_an_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        mappings(tmp_path, change=change)


def test_unknown_event_of_a_function_is_an_error(tmp_path: Path) -> None:
    text = """
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Events: {E: {Type: MQ, Properties: {}}}}}
"""
    with pytest.raises(TemplateError, match="events of type MQ"):
        read_application(template(tmp_path, text), ADDRESSES)


SQS = """
Resources:
  Q: {{Type: AWS::SQS::Queue, Properties: {{VisibilityTimeout: 7, RedrivePolicy: {redrive}}}}}
  Dead: {{Type: AWS::SQS::Queue}}
  R:
    Type: AWS::Events::Rule
    Properties: {{EventPattern: {{source: [x]}}, Targets: [{{Id: a, Arn: !GetAtt Q.Arn{target}}}]}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Events: {{E: {{Type: SQS, Properties: {{Queue: !GetAtt Q.Arn{event}}}}}}}
"""
REDRIVE = "{deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}"


def test_rule_that_targets_a_queue_and_its_mapping_are_read(tmp_path: Path) -> None:
    event = ", FunctionResponseTypes: [ReportBatchItemFailures], ScalingConfig: {MaximumConcurrency: 2}"
    application = read_application(template(tmp_path, SQS.format(redrive=REDRIVE, target="", event=event)), ADDRESSES)
    [queue, dead] = application.queues
    assert (queue.attributes["VisibilityTimeout"], queue.dead_letters) == ("7", dead.arn)
    assert json.loads(queue.attributes["RedrivePolicy"]) == {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3}
    assert [(rule.bus, rule.queues) for rule in application.queue_rules] == [("default", (queue.arn,))]
    [mapping] = application.sqs_mappings
    assert (mapping.function, mapping.queue, mapping.batch_size, mapping.partial, mapping.concurrency) == (
        "F", queue.arn, 10, True, 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "event", "message"),
    [
        (", InputPath: $.detail", "", "plain SQS queues only"),
        ("", ", FilterCriteria: {}", "does not know FilterCriteria"),
        ("", ", FunctionResponseTypes: [Other]", "does not know Other"),
    ],
)
def test_unsupported_setting_of_a_queue_is_an_error(tmp_path: Path, target: str, event: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        read_application(template(tmp_path, SQS.format(redrive=REDRIVE, target=target, event=event)), ADDRESSES)


def test_globals_are_merged_as_sam_merges_them(tmp_path: Path) -> None:
    text = """
Globals:
  Function: {Timeout: 30, MemorySize: 512, Environment: {Variables: {A: "1", B: "2"}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Timeout: 5, Environment: {Variables: {B: 3, C: true}}}
"""
    function = read_application(template(tmp_path, text), ADDRESSES).functions["F"]
    assert (function.timeout, function.memory) == (5, 512)
    assert function.environment == {"A": "1", "B": "3", "C": "true"}


@pytest.mark.parametrize(
    ("common", "own", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}}, {"a": 1, "b": {"c": 4, "d": 3}}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": {"Fn::If": ["C", {"b": 1}, 2]}}, {"a": {"Ref": "AWS::NoValue"}}, {"a": {"Ref": "AWS::NoValue"}}),
        ({"a": {"b": 1}}, {"a": {"Ref": "P"}}, {"a": {"Ref": "P"}}),
        ({"a": [1]}, {"a": 2}, {"a": 2}),
    ],
)
def test_own_properties_are_laid_over_globals(common: Any, own: Any, expected: Any) -> None:
    assert with_globals(common, own) == expected


def test_functions_of_one_name_in_two_stacks_are_an_error(tmp_path: Path) -> None:
    function = "{F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}"
    (tmp_path / "part.yaml").write_text(f"Resources: {function}}}")
    text = f"Resources: {function}, S: {{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: part.yaml}}}}}}"
    with pytest.raises(TemplateError, match="2 functions have the logical id F"):
        read_application(template(tmp_path, text), ADDRESSES)


def test_our_own_template_is_understood() -> None:
    application = read_application(Template(PROJECT / "template.yaml", ADDRESSES, EVERYTHING), ADDRESSES)
    assert application.functions["ApiFunction"].environment["BROKER_URL"] == "amqp://127.0.0.1:2"
    assert application.functions["RenderFunction"].concurrency == int(EVERYTHING["RenderConcurrency"])
    assert application.functions["RenderFunction"].layers == ("SharedLayer", "ChromiumLayer")
    assert application.functions["DispatchFunction"].environment["RENDER_FUNCTION"] == "RenderFunction"
    assert [mapping.queue for mapping in application.mappings] == [
        "generate_shot",
        "generate_shot_bulk",
        "generate_shot_returned",
    ]
    assert {rule.function for rule in application.rules} == stack(**EVERYTHING).fed_by("EventBridgeRule")
    assert application.api is not None
    assert Route("ANY", "/pdf", "ApiFunction", needs_key=True) in application.api.routes
    assert Route("OPTIONS", "/pdf", "ApiFunction") in application.api.routes
    assert [resource.function for resource in application.custom_resources] == ["TopologyFunction"]
    assert application.broker is not None
    assert application.broker.secret in {secret.arn for secret in application.secrets}
    json.dumps(application.custom_resources[0].properties)


def test_mail_function_needs_an_address() -> None:
    application = read_application(Template(PROJECT / "template.yaml", ADDRESSES), ADDRESSES)
    assert "MailFunction" not in application.functions
    assert application.functions["RenderFunction"].concurrency is None


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 hours)", 7200), ("rate(1 day)", 86400)],
)
def test_rate_is_read_in_seconds(expression: str, seconds: float) -> None:
    assert schedule_seconds(expression, "here") == seconds


@pytest.mark.parametrize("expression", ["rate(0 minutes)", "rate(5 seconds)", "rate(1 week)", "cron(0 12 * * ? *)", ""])
def test_other_schedule_is_an_error(expression: str) -> None:
    with pytest.raises(TemplateError):
        schedule_seconds(expression, "here")
