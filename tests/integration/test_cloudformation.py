"""The deployment, created in moto's CloudFormation as far as that knows the resources: what refers to what is
then resolved by another hand than the local stack's."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.deployment.flat import flattened
from tests.deployment.whole import Deployment, deployment

UNKNOWN = {
    "AWS::AmazonMQ::Broker": "moto's CloudFormation does not know it",
    "AWS::ApiGateway::RestApi": "moto wants a Name beside the definition, which has one",
    "AWS::ApiGateway::Deployment": "it is of that API",
    "AWS::ApiGateway::ApiKey": "moto's CloudFormation does not know it",
    "AWS::ApiGateway::Stage": "the same",
    "AWS::ApiGateway::UsagePlan": "the same",
    "AWS::ApiGateway::UsagePlanKey": "the same",
    "AWS::CloudWatch::Alarm": "the same",
    "AWS::Events::Archive": "moto wants its pattern as a text",
    "AWS::Lambda::EventInvokeConfig": "moto's CloudFormation does not know it",
    "AWS::Lambda::EventSourceMapping": "moto knows no broker as a source",
    "AWS::S3::BucketPolicy": "moto's CloudFormation does not know it",
    "AWS::SQS::QueuePolicy": "the same",
    "AWS::SecretsManager::Secret": "the same",
    "AWS::WAFv2::WebACLAssociation": "the same",
    "Custom::UrlshotTopology": "it would call the function, which needs a broker",
}


def known(template: dict[str, Any]) -> dict[str, Any]:
    """A template without what moto does not know; what refers to that gets a text in its place."""
    gone = {name for name, body in template["Resources"].items() if body["Type"] in UNKNOWN}
    left = {name: body for name, body in template["Resources"].items() if name not in gone}
    for body in left.values():
        body["DependsOn"] = [one for one in body["DependsOn"] if one not in gone]
    # moto takes the Ref of a bus for the bus itself, which is its name.
    buses = {name: body["Properties"]["Name"] for name, body in left.items() if body["Type"] == "AWS::Events::EventBus"}
    return dict(_without({**template, "Resources": left}, gone, buses))


def _without(value: Any, gone: set[str], named: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_without(item, gone, named) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]} if name in gone:
            return f"no-{name}"
    if len(value) == 1 and value.get("Ref") in named:
        return named[value["Ref"]]
    return {key: _without(item, gone, named) for key, item in value.items()}


@pytest.fixture(scope="module")
def whole() -> Deployment:
    return deployment()


@pytest.fixture
def created(whole: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The stack's outputs; it is there until the test ends."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3, cloudformation = boto3.client("s3"), boto3.client("cloudformation")
        s3.create_bucket(Bucket="artefacts")
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", "")
        for key in ("function", "layer"):
            s3.put_object(Bucket="artefacts", Key=key, Body=code.getvalue())
        template = known(flattened(whole))
        s3.put_object(Bucket="artefacts", Key="template.json", Body=json.dumps(template))
        cloudformation.create_stack(
            StackName="urlshot",
            TemplateURL="https://s3.amazonaws.com/artefacts/template.json",
            Capabilities=["CAPABILITY_IAM"],
        )
        [stack] = cloudformation.describe_stacks(StackName="urlshot")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        yield {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def test_it_is_created(whole: Deployment, created: dict[str, str]) -> None:
    functions = boto3.client("lambda").list_functions()["Functions"]
    assert len(functions) == len(whole.of_type("AWS::Lambda::Function"))
    variables = {one["Handler"]: one["Environment"]["Variables"] for one in functions}
    assert variables["functions.api.app.handler"]["BUCKET"] == created["Bucket"]
    assert variables["functions.dispatch.app.handler"]["BUS"] == created["BusName"]
    names = {one["FunctionName"] for one in functions}
    assert variables["functions.dispatch.app.handler"]["RENDER_FUNCTION"] in names
    assert not [value for one in variables.values() for key, value in one.items() if key.startswith("LOCAL_")]


def test_its_rules_have_targets(created: dict[str, str]) -> None:
    events, found = boto3.client("events"), []
    for rule in events.list_rules(EventBusName=created["BusName"])["Rules"]:
        for target in events.list_targets_by_rule(Rule=rule["Name"], EventBusName=created["BusName"])["Targets"]:
            assert target["DeadLetterConfig"]["Arn"].startswith("arn:aws:sqs:")
            found.append(target["Arn"].split(":")[2])
    assert sorted(found) == ["lambda", "lambda", "lambda", "sqs"]


def test_its_roles_name_resources_that_are_there(created: dict[str, str]) -> None:
    iam, found = boto3.client("iam"), []
    for role in iam.list_roles()["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            for statement in ast.literal_eval(str(document))["Statement"]:  # moto keeps Python's text of it
                resources = statement["Resource"]
                found += resources if isinstance(resources, list) else [resources]
    bucket = f"arn:aws:s3:::{created['Bucket']}"
    assert {bucket, f"{bucket}/job/*", f"{bucket}/pdf/*"} <= set(found)
    assert not [one for one in found if one != "*" and not one.startswith(("arn:aws:", "no-"))]
