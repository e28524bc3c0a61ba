"""The parameters that switch everything on are found from the conditions of the templates."""

from pathlib import Path

import pytest

from infra.local.template.addresses import LocalAddresses
from infra.local.template.evaluator import Template
from infra.local.template.everything import everything_on
from infra.local.template.parameters import TemplateError

ADDRESSES = LocalAddresses("http://127.0.0.1:1", "amqp://127.0.0.1:2", "http://127.0.0.1:3")
OUTER = """
Parameters:
  Kind: {Type: String, Default: x, AllowedValues: [x, y]}
  Count: {Type: Number, Default: 0}
  TopicArn: {Type: String, Default: ""}
  MailTo: {Type: String, Default: ""}
  HostsTo: {Type: CommaDelimitedList, Default: ""}
  LogBucket: {Type: String, Default: ""}
  NoSample: {Type: String, Default: ""}
Conditions:
  C: CONDITION
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Condition: C
    Properties: {TemplateURL: inner.yaml, Parameters: {Bucket: !If [C, !Ref LogBucket, ""]}}
"""
INNER = """
Parameters: {Bucket: {Type: String}}
Conditions: {HasBucket: !Not [!Equals [!Ref Bucket, ""]]}
Resources: {Queue: {Type: AWS::SQS::Queue, Condition: HasBucket}}
"""


def templates(folder: Path, condition: str) -> Path:
    (folder / "inner.yaml").write_text(INNER, "utf-8")
    (folder / "template.yaml").write_text(OUTER.replace("CONDITION", condition), "utf-8")
    return folder / "template.yaml"


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("!Equals [!Ref Kind, x]", set()),
        ("!Equals [!Ref Kind, y]", {"Kind"}),
        ("!Not [!Equals [!Ref Kind, x]]", {"Kind"}),
        ("!Not [!Equals [!Ref Count, 0]]", {"Count"}),
        ('!Not [!Equals [!Join ["", !Ref HostsTo], ""]]', {"HostsTo"}),
        ('!And [!Not [!Equals [!Ref TopicArn, ""]], !Equals [!Ref Count, 3]]', {"TopicArn", "Count"}),
        ('!Not [!And [!Equals [!Ref MailTo, ""], !Equals [!Ref TopicArn, ""]]]', {"MailTo", "TopicArn"}),
        ("!Or [!Equals [!Ref Kind, y], !Equals [!Ref Count, 1]]", {"Kind", "Count"}),
    ],
)
def test_parameters_make_every_condition_true(tmp_path: Path, condition: str, names: set[str]) -> None:
    file = templates(tmp_path, condition)
    found = everything_on(file)
    assert found.keys() == names | {"LogBucket"}
    template = Template(file, ADDRESSES, found)
    assert {resource.logical_id for resource in template.everything()} == {"Inner", "Queue"}


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("!Equals [!Ref Kind, !Ref Count]", "not a comparison of a parameter with a value"),
        ('!Not [!Equals [!Ref NoSample, ""]]', "no sample fits the parameter NoSample"),
        ("!And [!Equals [!Ref Count, 1], !Equals [!Ref Count, 2]]", "want Count to be 1 and something else"),
    ],
)
def test_conditions_that_cannot_be_switched_on_are_errors(tmp_path: Path, condition: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        everything_on(templates(tmp_path, condition))
