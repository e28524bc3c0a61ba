"""What a template declares, as typed values: the input of everything that runs here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Destination:
    """Where the record of an asynchronous invocation goes: a function, by logical id, or an SQS queue, by ARN."""

    kind: Literal["Lambda", "SQS"]
    target: str


@dataclass(frozen=True)
class Asynchronous:
    """How Lambda treats asynchronous events of a function; `max_age` in seconds. The defaults are Lambda's."""

    retries: int = 2
    max_age: float = 6 * 3600.0
    on_success: Destination | None = None
    on_failure: Destination | None = None


@dataclass(frozen=True)
class Function:
    """A function as Lambda would know it; seconds, MB.

    `name` is the logical id, the name that the function has here; `path` has the ids of the stacks that it is in before
    it, and `sam build` puts it there; `declared_name` is its FunctionName, if it has one.
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
    """`method` may be ANY; `needs_key`: API Gateway asks for an API key before it calls the function."""

    method: str
    path: str
    function: str
    needs_key: bool = False


@dataclass(frozen=True)
class Api:
    """The REST API: its stage, routes, binary media types and gateway responses, by type as its definition has them."""

    logical_id: str
    stage: str
    routes: tuple[Route, ...]
    binary_types: tuple[str, ...]
    gateway_responses: Mapping[str, Any]


@dataclass(frozen=True)
class QueueMapping:
    """An event source mapping from one queue of the broker; `window` is in seconds, None where it is not given."""

    function: str
    broker: str
    queue: str
    vhost: str
    batch_size: int
    window: float | None
    secret: str


@dataclass(frozen=True)
class SqsMapping:
    """An event source mapping from an SQS queue, by its ARN; `partial` says that the function names what failed."""

    function: str
    queue: str
    batch_size: int
    partial: bool
    concurrency: int


@dataclass(frozen=True)
class Rule:
    name: str
    function: str
    bus: str
    pattern: Mapping[str, Any]
    dead_letters: str | None


@dataclass(frozen=True)
class QueueRule:
    """A rule that puts events into SQS queues, by their ARNs."""

    name: str
    bus: str
    pattern: Mapping[str, Any]
    queues: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    name: str
    function: str
    every: float
    payload: Mapping[str, Any] | None


@dataclass(frozen=True)
class CustomResource:
    logical_id: str
    type: str
    function: str
    properties: Mapping[str, Any]
    timeout: float


@dataclass(frozen=True)
class Secret:
    """A secret with a given `text`, or one to be made up as `GenerateSecretString` says."""

    arn: str
    name: str
    text: str | None
    generate: Mapping[str, Any] | None


@dataclass(frozen=True)
class Queue:
    """An SQS queue; `attributes` as SQS takes them; `dead_letters` is the ARN of its dead-letter queue."""

    name: str
    arn: str
    attributes: Mapping[str, str]
    dead_letters: str | None


@dataclass(frozen=True)
class Broker:
    """The broker, and the secret and keys in it that hold the administrator's name and password."""

    arn: str
    secret: str
    username_key: str
    password_key: str


@dataclass(frozen=True)
class Application:
    """All that a template declares and that the local stack runs, after its conditions and parameters."""

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
