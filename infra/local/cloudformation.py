"""Stands in for CloudFormation: creates secrets, buckets, queues, buses, rules and custom resources.

Source: "GenerateSecretString" in CloudFormation's resource reference, "Custom resource request and response reference"
in its user guide.
"""

import asyncio
import json
import secrets
import string
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from infra.local.aws.client import AwsClient
from infra.local.functions.lambdas import Lambdas
from infra.local.host.waits import first_of
from infra.local.sources.bus import create_rule
from infra.local.template.addresses import LocalAddresses
from infra.local.template.evaluator import TemplateError
from infra.local.template.model import Application, CustomResource, Queue, QueueRule, Rule, Secret

_PUNCTUATION = string.punctuation  # the 32 characters that Secrets Manager counts as punctuation
_CLASSES = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": _PUNCTUATION,
}
_SECRET_OPTIONS = {
    *_CLASSES,
    "ExcludeCharacters",
    "GenerateStringKey",
    "PasswordLength",
    "RequireEachIncludedType",
    "SecretStringTemplate",
}
CUSTOM_RESOURCE_SECONDS = 120.0  # CloudFormation waits up to an hour, which is too long here


class DeploymentError(Exception):
    """Reports that a resource could not be created; the text has its name and the reason."""


def secret_text(secret: Secret) -> str:
    """Returns the content of a secret: the declared text, or a generated one.

    Raises:
        TemplateError: The options are unknown, or exclude all characters.
    """
    if secret.generate is None:
        return secret.text or ""
    options = secret.generate
    if unknown := set(options) - _SECRET_OPTIONS:
        raise TemplateError(f"secret {secret.name}: the local stack does not know {', '.join(sorted(unknown))}")
    excluded = set(str(options.get("ExcludeCharacters", "")))
    classes = ["".join(c for c in text if c not in excluded) for key, text in _CLASSES.items() if not options.get(key)]
    classes = [characters for characters in classes if characters]
    length = int(options.get("PasswordLength", 32))
    if not classes:
        raise TemplateError(f"secret {secret.name}: every character is excluded")
    required = classes if options.get("RequireEachIncludedType", True) else []
    drawn = [secrets.choice(characters) for characters in required]
    drawn += [secrets.choice("".join(classes)) for _ in range(length - len(drawn))]
    secrets.SystemRandom().shuffle(drawn)
    password = "".join(drawn[:length])
    if "SecretStringTemplate" not in options:
        return password
    content = json.loads(options["SecretStringTemplate"])
    return json.dumps({**content, options["GenerateStringKey"]: password})


async def create_resources(
    application: Application, secret_texts: Mapping[str, str], aws: AwsClient, senders: tuple[str, ...]
) -> None:
    """Creates all resources in moto.

    Args:
        application: The resources.
        secret_texts: The contents of the secrets, by ARN.
        aws: The client of moto.
        senders: The mail addresses that SES treats as verified.
    """
    queues = (_create_queue(aws, queue) for queue in application.queues if queue.dead_letters is None)
    buses = (aws.call("events", "CreateEventBus", Name=bus) for bus in application.buses)
    made = (
        aws.call("secretsmanager", "CreateSecret", Name=secret.name, SecretString=secret_texts[secret.arn])
        for secret in application.secrets
    )
    buckets = (aws.create_bucket(name) for name in application.buckets)
    await asyncio.gather(*queues, *buses, *made, *buckets, *(aws.verify_sender(sender) for sender in senders))
    await asyncio.gather(*(_create_queue(aws, queue) for queue in application.queues if queue.dead_letters is not None))
    rules: list[Rule | QueueRule] = [*application.rules, *application.queue_rules]
    await asyncio.gather(*(create_rule(aws, rule) for rule in rules))


async def _create_queue(aws: AwsClient, queue: Queue) -> None:
    await aws.call("sqs", "CreateQueue", QueueName=queue.name, Attributes=dict(queue.attributes))


class CustomResources:
    """Creates custom resources as CloudFormation does: invokes a function, and waits for a PUT to the response URL."""

    def __init__(self, lambdas: Lambdas, addresses: LocalAddresses) -> None:
        self._lambdas = lambdas
        self._addresses = addresses
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def routes(self, app: web.Application) -> None:
        """Adds the route of the response URLs to an app."""
        app.router.add_put("/_local/custom-resources/{token}", self._answered)

    async def create(self, resource: CustomResource, base_url: str) -> dict[str, Any]:
        """Creates a custom resource.

        Args:
            resource: The custom resource.
            base_url: The URL of the app that has the routes.

        Returns:
            The Data of the function's answer.

        Raises:
            DeploymentError: The function failed, answered FAILED, or did not answer in time.
        """
        token, began = uuid.uuid4().hex, time.monotonic()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        event = {
            "RequestType": "Create",
            "ServiceToken": resource.properties["ServiceToken"],
            "ResponseURL": f"{base_url}/_local/custom-resources/{token}",
            "StackId": self._addresses.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": resource.logical_id,
            "ResourceType": resource.type,
            "ResourceProperties": stringified(resource.properties),
        }
        limit = min(resource.timeout, CUSTOM_RESOURCE_SECONDS)
        invocation = asyncio.ensure_future(self._lambdas.invoke(resource.function, json.dumps(event).encode()))
        try:
            await first_of(answer, invocation, seconds=limit)
            if not answer.done() and invocation.done() and (result := invocation.result()).error is not None:
                text = result.payload.decode("utf-8", "replace")[:1000]
                raise DeploymentError(f"{resource.logical_id}: {resource.function} failed: {text}")
            await asyncio.wait([answer], timeout=max(0.0, limit - (time.monotonic() - began)))
            if not answer.done():
                raise DeploymentError(f"{resource.logical_id}: {resource.function} did not answer within {limit:.0f} s")
        finally:
            del self._waiting[token]
        if answer.result().get("Status") != "SUCCESS":
            raise DeploymentError(f"{resource.logical_id}: {answer.result().get('Reason', 'no reason given')}")
        await asyncio.wait([invocation], timeout=5)  # so that the function's instance is idle afterwards
        return dict(answer.result().get("Data") or {})

    async def _answered(self, request: web.Request) -> web.Response:
        waiting = self._waiting.get(request.match_info["token"])
        if waiting is None:
            return web.Response(status=404)
        body = json.loads(await request.read())
        if not waiting.done():
            waiting.set_result(body)
        return web.Response()


def stringified(value: Any) -> Any:
    """Converts every scalar in a value to a string, as CloudFormation does for properties of custom resources."""
    if isinstance(value, Mapping):
        return {key: stringified(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stringified(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
