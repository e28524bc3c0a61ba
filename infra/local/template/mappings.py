"""Reads the event source mappings of a template. Unknown properties are errors.

Source: CloudFormation's reference of AWS::Lambda::EventSourceMapping; SAM's of the SQS event.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.local.template.evaluator import Resource, TemplateError
from infra.local.template.model import QueueMapping, SqsMapping
from infra.local.template.parameters import scalar_text, whole_number

_WINDOW = "MaximumBatchingWindowInSeconds"
_QUEUE_PROPERTIES = {
    "BatchSize",
    "Enabled",
    "EventSourceArn",
    "FunctionName",
    _WINDOW,
    "Queues",
    "SourceAccessConfigurations",
}
_SQS_PROPERTIES = {"Queue", "BatchSize", "FunctionResponseTypes", "ScalingConfig", "Enabled"}


def queue_mapping(resource: Resource, by_arn: Mapping[str, str], brokers: set[str]) -> Iterator[QueueMapping]:
    """Yields a mapping from a queue of the broker, if it is enabled.

    Args:
        resource: The AWS::Lambda::EventSourceMapping.
        by_arn: The logical id of every function, by ARN.
        brokers: The ARNs of the brokers of the template.
    """
    where = resource.where
    if unknown := set(resource.body.get("Properties") or {}) - _QUEUE_PROPERTIES:
        raise TemplateError(f"{where}: the local stack does not know {', '.join(sorted(unknown))}")
    function, broker = resource.require("FunctionName"), resource.require("EventSourceArn")
    function = by_arn.get(function, function)
    if function not in by_arn.values():
        raise TemplateError(f"{where}: FunctionName {function} is no function of this template")
    if broker not in brokers:
        raise TemplateError(f"{where}: EventSourceArn {broker} is no broker of this template")
    access = {item["Type"]: item["URI"] for item in resource.property("SourceAccessConfigurations", [])}
    if "BASIC_AUTH" not in access:
        raise TemplateError(f"{where}: no SourceAccessConfigurations of Type BASIC_AUTH")
    queues, window = resource.require("Queues"), resource.property(_WINDOW)
    if len(queues) != 1:  # required by Lambda
        raise TemplateError(f"{where}: a mapping has exactly one queue")
    if scalar_text(resource.property("Enabled", True)) == "true":
        yield QueueMapping(
            function=function,
            broker=broker,
            queue=queues[0],
            vhost=access.get("VIRTUAL_HOST", "/"),
            batch_size=whole_number(resource.property("BatchSize", 100), range(1, 10_001), f"{where}: BatchSize"),
            window=None if window is None else whole_number(window, range(301), f"{where}: {_WINDOW}"),
            secret=access["BASIC_AUTH"],
        )


def sqs_mapping(function: str, properties: Mapping[str, Any], where: str) -> SqsMapping:
    """Returns the mapping of a function's SQS event; `where` is its place in the template, for errors."""
    responses = properties.get("FunctionResponseTypes") or []
    if unknown := set(properties) - _SQS_PROPERTIES or set(responses) - {"ReportBatchItemFailures"}:
        raise TemplateError(f"{where}: the local stack does not know {', '.join(sorted(unknown))}")
    return SqsMapping(
        function=function,
        queue=properties["Queue"],
        batch_size=int(properties.get("BatchSize", 10)),
        partial=bool(responses),
        concurrency=int(
            (properties.get("ScalingConfig") or {}).get("MaximumConcurrency", 5)
        ),  # Lambda starts with five
    )
