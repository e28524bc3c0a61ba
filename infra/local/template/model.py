"""Defines the typed values of a template's declarations, from which the local stack runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Destination:
    """Names the destination of records of asynchronous invocations: a function by logical id, or a queue by ARN."""

    kind: Literal["Lambda", "SQS"]
    target: str


@dataclass(frozen=True)
class Asynchronous:
    """Holds a function's settings for asynchronous events, with Lambda's defaults. `max_age` is in seconds."""

    retries: int = 2
    max_age: float = 6 * 3600.0
    on_success: Destination | None = None
    on_failure: Destination | None = None


@dataclass(frozen=True)
class Function:
    """Describes a function.

    Attributes:
        name: The logical id, which is the function's name on this machine.
        path: The logical ids from the outermost stack to the function; also its folder in the output of `sam build`.
        declared_name: The FunctionName, if the template has one.
        timeout: In seconds.
        memory: In MB.
        layers: The logical ids of its layers.
        concurrency: The reserved concurrency; None if there is none.
    """

    name: str
    path: tuple[str, ...]
    declared_name: str | None
    handler: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    layers: tuple[str, ...]
    concurrency: int | None
    asynchronous: Asynchronous
    log_format: str


@dataclass(frozen=True)
class Route:
    """Describes a route of the API.

    Attributes:
        method: An HTTP method, or ANY.
        path: The path with its parameters, such as "/pdf/{id}".
        function: The logical id of the function.
        needs_key: Whether API Gateway requires an API key.
    """

    method: str
    path: str
    function: str
    needs_key: bool = False


@dataclass(frozen=True)
class Api:
    """Describes the REST API. `gateway_responses` are those of its definition, by response type."""

    logical_id: str
    stage: str
    routes: tuple[Route, ...]
    binary_types: tuple[str, ...]
    gateway_responses: Mapping[str, Any]


@dataclass(frozen=True)
class QueueMapping:
    """Describes an event source mapping from one queue of the broker. `window` is in seconds; None if it is not set."""

    function: str
    broker: str
    queue: str
    vhost: str
    batch_size: int
    window: float | None
    secret: str


@dataclass(frozen=True)
class SqsMapping:
    """Describes an event source mapping from an SQS queue.

    Attributes:
        function: The logical id of the function.
        queue: The ARN of the queue.
        batch_size: The maximum number of messages in a batch.
        partial: Whether the function reports the failed messages of a batch (ReportBatchItemFailures).
        concurrency: The maximum number of batches at a time.
    """

    function: str
    queue: str
    batch_size: int
    partial: bool
    concurrency: int


@dataclass(frozen=True)
class Rule:
    """Describes a rule that invokes a function. `dead_letters` is the ARN of a queue."""

    name: str
    function: str
    bus: str
    pattern: Mapping[str, Any]
    dead_letters: str | None


@dataclass(frozen=True)
class QueueRule:
    """Describes a rule that sends events to SQS queues. `queues` are their ARNs."""

    name: str
    bus: str
    pattern: Mapping[str, Any]
    queues: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    """Describes a schedule that invokes a function. `every` is in seconds; without `payload`, EventBridge's is sent."""

    name: str
    function: str
    every: float
    payload: Mapping[str, Any] | None


@dataclass(frozen=True)
class CustomResource:
    """Describes a custom resource and the function that creates it. `timeout` is in seconds."""

    logical_id: str
    type: str
    function: str
    properties: Mapping[str, Any]
    timeout: float


@dataclass(frozen=True)
class Secret:
    """Describes a secret with a given `text`, or with the options of `GenerateSecretString`."""

    arn: str
    name: str
    text: str | None
    generate: Mapping[str, Any] | None


@dataclass(frozen=True)
class Queue:
    """Describes an SQS queue, with its attributes for CreateQueue, and the ARN of its dead-letter queue."""

    name: str
    arn: str
    attributes: Mapping[str, str]
    dead_letters: str | None


@dataclass(frozen=True)
class Broker:
    """Describes the broker, and the secret with the administrator's name and password under these two keys."""

    arn: str
    secret: str
    username_key: str
    password_key: str


@dataclass(frozen=True)
class Application:
    """Holds all declarations that the local stack runs, for the given parameters."""

    functions: Mapping[str, Function]
    layers: Mapping[str, str]
    api: Api | None
    mappings: tuple[QueueMapping, ...]
    sqs_mappings: tuple[SqsMapping, ...]
    rules: tuple[Rule, ...]
    queue_rules: tuple[QueueRule, ...]
    schedules: tuple[Schedule, ...]
    custom_resources: tuple[CustomResource, ...]
    secrets: tuple[Secret, ...]
    buckets: tuple[str, ...]
    queues: tuple[Queue, ...]
    buses: tuple[str, ...]
    broker: Broker | None
    parameters: Mapping[str, Any]
