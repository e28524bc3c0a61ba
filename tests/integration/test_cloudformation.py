"""Creates the deployment in moto's CloudFormation, without the resources that moto does not support.

So another implementation than the local stack's resolves the references between resources.
"""

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

UNSUPPORTED = {
    "AWS::AmazonMQ::Broker": "moto's CloudFormation does not support it",
    "AWS::ApiGateway::RestApi": "moto needs a Name beside the definition, which has one",
    "AWS::ApiGateway::Deployment": "it belongs to that API",
    "AWS::ApiGateway::ApiKey": "moto's CloudFormation does not support it",
    "AWS::ApiGateway::Stage": "moto's CloudFormation does not support it",
    "AWS::ApiGateway::UsagePlan": "moto's CloudFormation does not support it",
    "AWS::ApiGateway::UsagePlanKey": "moto's CloudFormation does not support it",
    "AWS::CloudWatch::Alarm": "moto's CloudFormation does not support it",
    "AWS::Events::Archive": "moto needs its pattern as a string",
    "AWS::Lambda::EventInvokeConfig": "moto's CloudFormation does not support it",
    "AWS::Lambda::EventSourceMapping": "moto does not support brokers as a source",
    "AWS::S3::BucketPolicy": "moto's CloudFormation does not support it",
    "AWS::SQS::QueuePolicy": "moto's CloudFormation does not support it",
    "AWS::SecretsManager::Secret": "moto's CloudFormation does not support it",
    "AWS::WAFv2::WebACLAssociation": "moto's CloudFormation does not support it",
    "Custom::UrlshotTopology": "it would call the function, which needs a broker",
}


def supported(template: dict[str, Any]) -> dict[str, Any]:
    """Returns a template without unsupported resources; references to them become strings."""
    gone = {name for name, body in template["Resources"].items() if body["Type"] in UNSUPPORTED}
    left = {name: body for name, body in template["Resources"].items() if name not in gone}
    for body in left.values():
        body["DependsOn"] = [one for one in body["DependsOn"] if one not in gone]
    # moto resolves the Ref of a bus to an object instead of the name, so each such Ref is replaced by the name.
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
    """Creates the stack for one test, and returns its outputs."""
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
        template = supported(flattened(whole))
        s3.put_object(Bucket="artefacts", Key="template.json", Body=json.dumps(template))
        cloudformation.create_stack(
            StackName="urlshot",
            TemplateURL="https://s3.amazonaws.com/artefacts/template.json",
            Capabilities=["CAPABILITY_IAM"],
        )
        [stack] = cloudformation.describe_stacks(StackName="urlshot")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        yield {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def test_stack_is_created_with_all_functions(whole: Deployment, created: dict[str, str]) -> None:
    functions = boto3.client("lambda").list_functions()["Functions"]
    assert len(functions) == len(whole.of_type("AWS::Lambda::Function"))
    variables = {one["Handler"]: one["Environment"]["Variables"] for one in functions}
    assert variables["functions.api.app.handler"]["BUCKET"] == created["Bucket"]
    assert variables["functions.dispatch.app.handler"]["BUS"] == created["BusName"]
    names = {one["FunctionName"] for one in functions}
    assert variables["functions.dispatch.app.handler"]["RENDER_FUNCTION"] in names
    assert not [value for one in variables.values() for key, value in one.items() if key.startswith("LOCAL_")]


def test_rules_have_targets_with_dead_letter_queues(created: dict[str, str]) -> None:
    events, found = boto3.client("events"), []
    for rule in events.list_rules(EventBusName=created["BusName"])["Rules"]:
        for target in events.list_targets_by_rule(Rule=rule["Name"], EventBusName=created["BusName"])["Targets"]:
            assert target["DeadLetterConfig"]["Arn"].startswith("arn:aws:sqs:")
            found.append(target["Arn"].split(":")[2])
    assert sorted(found) == ["lambda", "lambda", "lambda", "sqs"]


def test_roles_name_existing_resources(created: dict[str, str]) -> None:
    iam, found = boto3.client("iam"), []
    for role in iam.list_roles()["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            for statement in ast.literal_eval(str(document))["Statement"]:  # moto keeps the repr of the document
                resources = statement["Resource"]
                found += resources if isinstance(resources, list) else [resources]
    bucket = f"arn:aws:s3:::{created['Bucket']}"
    assert {bucket, f"{bucket}/job/*", f"{bucket}/pdf/*"} <= set(found)
    assert not [one for one in found if one != "*" and not one.startswith(("arn:aws:", "no-"))]
