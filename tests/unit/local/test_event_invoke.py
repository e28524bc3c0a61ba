"""The local stack reads all of EventInvokeConfig. Settings that Lambda or the stack does not know are errors."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.functions.async_events import Outcome, invocation_record
from infra.local.template.addresses import LocalAddresses
from infra.local.template.application import read_application
from infra.local.template.evaluator import Template, TemplateError
from infra.local.template.model import Asynchronous, Destination

ADDRESSES = LocalAddresses("http://127.0.0.1:1", "amqp://127.0.0.1:2", "http://127.0.0.1:3")
LETTERS = "arn:aws:sqs:us-east-1:123456789012:urlshot-Letters"
SETTLE = Destination("Lambda", "Settle")

TEMPLATE = """
Parameters:
  Retries: {{Type: Number, Default: 1}}
Globals:
  Function: {{Handler: a.b, EventInvokeConfig: {{{common}}}}}
Resources:
  Letters: {{Type: AWS::SQS::Queue}}
  Settle: {{Type: AWS::Serverless::Function, Properties: {{FunctionName: !Sub "${{AWS::StackName}}-settle"}}}}
  F: {{Type: AWS::Serverless::Function, Properties: {{EventInvokeConfig: {{{own}}}}}}}
"""
TO_LETTERS = "DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Letters.Arn}}"


def read(tmp_path: Path, own: str = "", common: str = "") -> Asynchronous:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE.format(own=own, common=common), "utf-8")
    return read_application(Template(file, ADDRESSES, {}), ADDRESSES).functions["F"].asynchronous


def to(destination: str, kind: str = "Lambda", when: str = "OnSuccess") -> str:
    return f"DestinationConfig: {{{when}: {{Type: {kind}, Destination: {destination}}}}}"


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [
        ("", "", Asynchronous(2, 21600, None, None)),
        ("MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60", "", Asynchronous(0, 60)),
        ("MaximumRetryAttempts: !Ref Retries", "", Asynchronous(1)),
        ("", "MaximumRetryAttempts: 1, MaximumEventAgeInSeconds: 21600", Asynchronous(1, 21600)),
        ("MaximumRetryAttempts: 0", "MaximumRetryAttempts: 1, MaximumEventAgeInSeconds: 90", Asynchronous(0, 90)),
        (to("!GetAtt Settle.Arn"), "", Asynchronous(on_success=SETTLE)),
        (to("!GetAtt Settle.Arn", when="OnFailure"), "", Asynchronous(on_failure=SETTLE)),
        (to("!GetAtt Letters.Arn", "SQS"), "", Asynchronous(on_success=Destination("SQS", LETTERS))),
        (
            to("!GetAtt Settle.Arn"),
            TO_LETTERS,
            Asynchronous(on_success=SETTLE, on_failure=Destination("SQS", LETTERS)),
        ),
        (to("!Sub 'arn:aws:lambda:us-east-1:123456789012:function:${Settle}'"), "", Asynchronous(on_success=SETTLE)),
        (
            to(
                "!Sub 'arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-settle'"
            ),
            "",
            Asynchronous(on_success=SETTLE),
        ),
    ],
)
def test_settings_are_read_and_merged_with_globals(
    tmp_path: Path, own: str, common: str, expected: Asynchronous
) -> None:
    assert read(tmp_path, own, common) == expected


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("MaximumRetryAttempts: 3", "MaximumRetryAttempts: 3 is not a whole number within 0..2"),
        ("MaximumRetryAttempts: -1", "-1 is not a whole number within 0..2"),
        ("MaximumRetryAttempts: 1.5", "1.5 is not a whole number within 0..2"),
        ("MaximumRetryAttempts: many", "many is not a whole number within 0..2"),
        ("MaximumRetryAttempts: true", "true is not a whole number within 0..2"),
        ("MaximumEventAgeInSeconds: 59", "59 is not a whole number within 60..21600"),
        ("MaximumEventAgeInSeconds: 21601", "21601 is not a whole number within 60..21600"),
        ("Qualifier: live", "EventInvokeConfig: the local stack does not know Qualifier"),
        ("DestinationConfig: {Always: {}}", "DestinationConfig: the local stack does not know Always"),
        (to("arn:x", "SNS"), "OnSuccess: the local stack knows destinations of Type Lambda and SQS only, not SNS"),
        (to("arn:x", "EventBridge"), "only, not EventBridge"),
        (to("arn:x, Extra: 1"), "OnSuccess: the local stack does not know Extra"),
        ("DestinationConfig: {OnFailure: {Destination: !GetAtt Settle.Arn}}", "only, not None"),
        ("DestinationConfig: {OnFailure: {Type: SQS}}", "OnFailure: the property Destination is missing"),
        (to("!GetAtt Letters.Arn"), f"{LETTERS} is no function of this template"),
        (to("!GetAtt Settle.Arn", "SQS"), "function:Settle is no queue of this template"),
        (to("!Ref Settle"), "Settle is no function of this template"),
        (to("!GetAtt Nobody.Arn"), "Nobody does not exist"),
    ],
)
def test_unknown_setting_is_an_error(tmp_path: Path, own: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read(tmp_path, own)
    assert "Resources/F/Properties/EventInvokeConfig" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("payload", [b"{}", b"null", '{"a": "Zo\u00eb \\ud800"}'.encode(), b'{"n": 1e400, "n": 2}'])
def test_invocation_record_holds_the_event_byte_for_byte(payload: bytes) -> None:
    record: Any = invocation_record(Outcome("F", "r", payload, "EventAgeExceeded", 0, None))
    assert record.endswith(b', "requestPayload": ' + payload + b"}")
