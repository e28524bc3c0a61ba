"""Reads the functions, routes, queues, rules and secrets of a template as typed values.

The list of resource types is fixed. `_IGNORED` names the types that the local stack leaves out, with the reasons. Every
other type is an error, because a resource that is silently left out would be a difference between this machine and AWS.

Source: SAM's resource and event source references.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from infra.local.template.addresses import LocalAddresses, function_arn
from infra.local.template.evaluator import FUNCTION_TYPE, STACK_TYPE, Resource, Template, TemplateError
from infra.local.template.event_invoke import read_asynchronous
from infra.local.template.mappings import queue_mapping, sqs_mapping
from infra.local.template.model import (
    Api,
    Application,
    Broker,
    CustomResource,
    Function,
    Queue,
    QueueRule,
    Route,
    Rule,
    Schedule,
    Secret,
    SqsMapping,
)

_IGNORED = {
    "AWS::IAM::": "permissions are not enforced on this machine",
    "AWS::EC2::": "this machine has one network",
    "AWS::Logs::": "logs are files",
    "AWS::CloudWatch::": "there are no metrics and alarms on this machine",
    "AWS::SNS::": "it delivers alarms only",
    "AWS::Budgets::": "nothing costs money on this machine",
    "AWS::S3::BucketPolicy": "permissions are not enforced on this machine",
    "AWS::SQS::QueuePolicy": "permissions are not enforced on this machine",
    "AWS::Events::EventBusPolicy": "permissions are not enforced on this machine",
    "AWS::Events::Archive": "events are not replayed on this machine",
    "AWS::Lambda::Permission": "permissions are not enforced on this machine",
    "AWS::SecretsManager::ResourcePolicy": "permissions are not enforced on this machine",
    "AWS::ApiGateway::": "the local gateway creates its own key, and enforces no quotas",
    "AWS::WAFv2::": "there is no firewall on this machine",
}
_FUNCTION_URI = re.compile(r"arn:aws:apigateway:[^:]+:lambda:path/2015-03-31/functions/[^/]+:(?P<name>\w+)/invocations")
_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_SECRET_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:(?P<arn>.+?):SecretString:(?P<key>[^:}]+)(?:::)?\}\}")
_QUEUE_ATTRIBUTES = ("VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds")
_LAMBDA_DEFAULTS = {"Timeout": 3, "MemorySize": 128}


def read_application(template: Template, addresses: LocalAddresses) -> Application:
    """Returns the application that the template and its nested stacks describe.

    Raises:
        TemplateError: The template has something that the local stack does not know.
    """
    by_type: dict[str, list[Resource]] = {}
    for resource in template.everything():
        by_type.setdefault(resource.type, []).append(resource)
    known = (*_HANDLED, STACK_TYPE)
    for kind, found in by_type.items():
        if kind not in known and not kind.startswith(("Custom::", *_IGNORED)):
            raise TemplateError(f"{found[0].where}: the local stack does not know {kind}")

    layers = {addresses.ref(layer): layer.logical_id for layer in by_type.get("AWS::Serverless::LayerVersion", [])}
    function_resources = by_type.get(FUNCTION_TYPE, [])
    for name, count in Counter(resource.logical_id for resource in function_resources).items():
        if count > 1:
            raise TemplateError(f"{template.where}: {count} functions have the logical id {name}")
    by_arn = {addresses.attribute(resource, "Arn"): resource.logical_id for resource in function_resources}
    for resource in function_resources:  # a template may also build an ARN from the declared name of a function
        if (declared := resource.property("FunctionName")) is not None:
            by_arn[function_arn(str(declared))] = resource.logical_id
    queues = tuple(_queue(resource, addresses) for resource in by_type.get("AWS::SQS::Queue", []))
    queue_arns = {queue.arn for queue in queues}
    functions = {
        resource.logical_id: _function(resource, layers, by_arn, queue_arns) for resource in function_resources
    }
    events = [event for resource in function_resources for event in _events(resource)]
    apis = by_type.get("AWS::Serverless::Api", [])
    if len(apis) > 1:
        raise TemplateError(f"{apis[1].where}: the local stack knows one API only")
    brokers = by_type.get("AWS::AmazonMQ::Broker", [])
    if len(brokers) > 1:
        raise TemplateError(f"{brokers[1].where}: the local stack knows one broker only")
    return Application(
        functions=functions,
        layers={layer.logical_id: str(layer.require("ContentUri")) for layer in by_type.get(_LAYER, [])},
        api=_api(apis[0]) if apis else None,
        mappings=tuple(
            mapping
            for resource in by_type.get("AWS::Lambda::EventSourceMapping", [])
            for mapping in queue_mapping(resource, by_arn, {addresses.attribute(broker, "Arn") for broker in brokers})
        ),
        sqs_mappings=tuple(event for event in events if isinstance(event, SqsMapping)),
        rules=tuple(event for event in events if isinstance(event, Rule)),
        queue_rules=tuple(_queue_rule(resource, addresses) for resource in by_type.get("AWS::Events::Rule", [])),
        schedules=tuple(event for event in events if isinstance(event, Schedule)),
        custom_resources=tuple(
            _custom(resource, by_arn)
            for kind, found in by_type.items()
            if kind.startswith("Custom::")
            for resource in found
        ),
        secrets=tuple(_secret(resource, addresses) for resource in by_type.get("AWS::SecretsManager::Secret", [])),
        buckets=tuple(addresses.ref(resource) for resource in by_type.get("AWS::S3::Bucket", [])),
        queues=queues,
        buses=tuple(addresses.ref(resource) for resource in by_type.get("AWS::Events::EventBus", [])),
        broker=_broker(brokers[0], addresses) if brokers else None,
        parameters=template.parameters,
    )


_LAYER = "AWS::Serverless::LayerVersion"
_HANDLED = (
    FUNCTION_TYPE,
    _LAYER,
    "AWS::Serverless::Api",
    "AWS::Lambda::EventSourceMapping",
    "AWS::AmazonMQ::Broker",
    "AWS::SecretsManager::Secret",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
)


def _function(
    resource: Resource, layers: Mapping[str, str], by_arn: Mapping[str, str], queue_arns: set[str]
) -> Function:
    variables = resource.property("Environment", {}).get("Variables") or {}
    environment = {}
    for name, value in variables.items():
        if not isinstance(value, str | int | float):
            raise TemplateError(f"{resource.where}/Properties/Environment/Variables/{name}: not a scalar: {value!r}")
        environment[name] = str(value).lower() if isinstance(value, bool) else str(value)
    used = []
    for arn in resource.property("Layers", []):
        if arn not in layers:
            raise TemplateError(f"{resource.where}/Properties/Layers: {arn} is no layer of this template")
        used.append(layers[arn])
    concurrency = resource.property("ReservedConcurrentExecutions")
    return Function(
        name=resource.logical_id,
        path=resource.path,
        declared_name=resource.property("FunctionName"),
        handler=resource.require("Handler"),
        timeout=int(resource.property("Timeout", _LAMBDA_DEFAULTS["Timeout"])),
        memory=int(resource.property("MemorySize", _LAMBDA_DEFAULTS["MemorySize"])),
        environment=environment,
        layers=tuple(used),
        concurrency=None if concurrency is None else int(concurrency),
        asynchronous=read_asynchronous(
            resource.property("EventInvokeConfig", {}),
            by_arn,
            queue_arns,
            f"{resource.where}/Properties/EventInvokeConfig",
        ),
        log_format=str(resource.property("LoggingConfig", {}).get("LogFormat", "Text")),
    )


def _events(resource: Resource) -> Iterator[SqsMapping | Rule | Schedule]:
    function = resource.logical_id
    for name, event in (resource.property("Events") or {}).items():
        where, properties = f"{resource.where}/Properties/Events/{name}", event.get("Properties") or {}
        if properties.get("Enabled") is False or properties.get("State") == "DISABLED":
            continue
        match event["Type"]:
            case "SQS":
                yield sqs_mapping(function, properties, where)
            case "EventBridgeRule" | "CloudWatchEvent":
                if unknown := set(properties) & {"Input", "InputPath", "InputTransformer"}:
                    raise TemplateError(f"{where}: the local stack does not know {', '.join(unknown)}")
                letters = (properties.get("DeadLetterConfig") or {}).get("Arn")
                bus = properties.get("EventBusName", "default")
                yield Rule(f"{function}{name}", function, bus, properties["Pattern"], letters)
            case "Schedule":
                payload = json.loads(properties["Input"]) if "Input" in properties else None
                yield Schedule(f"{function}{name}", function, schedule_seconds(properties["Schedule"], where), payload)
            case kind:
                raise TemplateError(f"{where}: the local stack does not know events of type {kind}")


def schedule_seconds(expression: str, where: str) -> float:
    """Returns the period of a rate expression in seconds.

    Raises:
        TemplateError: The expression is not a rate, such as a cron expression.
    """
    found = _RATE.fullmatch(expression)
    if not found or int(found.group(1)) < 1:
        raise TemplateError(f"{where}: the local stack knows rate(n minutes|hours|days) only, not {expression}")
    units = {"minute": 60, "hour": 3600, "day": 86400}
    return float(int(found.group(1)) * units[found.group(2).removesuffix("s")])


def _queue(resource: Resource, addresses: LocalAddresses) -> Queue:
    attributes = {name: str(value) for name in _QUEUE_ATTRIBUTES if (value := resource.property(name)) is not None}
    redrive = resource.property("RedrivePolicy")
    if redrive is not None:
        attributes["RedrivePolicy"] = json.dumps(redrive)
    name, arn = addresses.attribute(resource, "QueueName"), addresses.attribute(resource, "Arn")
    return Queue(name, arn, attributes, redrive and str(redrive["deadLetterTargetArn"]))


def _queue_rule(resource: Resource, addresses: LocalAddresses) -> QueueRule:
    queues = []
    for target in resource.require("Targets"):
        if ":sqs:" not in target["Arn"] or set(target) - {"Id", "Arn", "RetryPolicy", "DeadLetterConfig"}:
            raise TemplateError(f"{resource.where}/Properties/Targets: the local stack knows plain SQS queues only")
        queues.append(str(target["Arn"]))
    bus = resource.property("EventBusName", "default")
    return QueueRule(addresses.ref(resource), bus, resource.require("EventPattern"), tuple(queues))


def _api(resource: Resource) -> Api:
    """Reads an API from its OpenAPI definition with API Gateway's extensions. All routes must go to functions."""
    for unknown in ("DefinitionUri", "Auth", "Cors", "GatewayResponses"):
        if resource.property(unknown) is not None:
            raise TemplateError(f"{resource.where}: the local stack does not know {unknown}")
    definition = resource.require("DefinitionBody")
    return Api(
        logical_id=resource.logical_id,
        stage=str(resource.require("StageName")),
        routes=tuple(
            _route(method, path, operation, f"{resource.where}: {method} {path}")
            for path, operations in definition["paths"].items()
            for method, operation in operations.items()
        ),
        binary_types=tuple(str(item).replace("~1", "/") for item in resource.property("BinaryMediaTypes", [])),
        gateway_responses=definition.get("x-amazon-apigateway-gateway-responses", {}),
    )


def _route(method: str, path: str, operation: Mapping[str, Any], where: str) -> Route:
    integration = operation["x-amazon-apigateway-integration"]
    found = _FUNCTION_URI.fullmatch(str(integration["uri"]))
    if integration["type"] != "aws_proxy" or found is None:
        raise TemplateError(f"{where}: not a proxy integration of a function of this stack")
    name = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
    return Route(name, path, found["name"], needs_key=bool(operation.get("security")))


def _custom(resource: Resource, by_arn: Mapping[str, str]) -> CustomResource:
    token = resource.require("ServiceToken")
    if token not in by_arn:
        raise TemplateError(f"{resource.where}: ServiceToken {token} is no function of this template")
    properties = resource.stack.evaluate(resource.body["Properties"], f"{resource.where}/Properties")
    timeout = float(properties.pop("ServiceTimeout", 3600))
    return CustomResource(resource.logical_id, resource.type, by_arn[token], properties, timeout)


def _secret(resource: Resource, addresses: LocalAddresses) -> Secret:
    text, generate = resource.property("SecretString"), resource.property("GenerateSecretString")
    if text is None and generate is None:
        raise TemplateError(f"{resource.where}: neither SecretString nor GenerateSecretString")
    return Secret(addresses.ref(resource), addresses.name(resource, "Name"), text, generate)


def _broker(resource: Resource, addresses: LocalAddresses) -> Broker:
    users = resource.require("Users")
    found = [_SECRET_REFERENCE.fullmatch(str(users[0].get(key, ""))) for key in ("Username", "Password")]
    name, password = found
    if len(users) != 1 or name is None or password is None or name["arn"] != password["arn"]:
        raise TemplateError(f"{resource.where}/Properties/Users: not one user with dynamic references to one secret")
    return Broker(addresses.attribute(resource, "Arn"), name["arn"], name["key"], password["key"])
