"""Implements EventBridge's rules, which send matching events to a function or to queues.

moto decides which rules an event matches. In moto, a rule for a function has an SQS queue as its target, and every
event in that queue becomes an asynchronous invocation of the function. moto itself handles rules for queues.
"""

import asyncio
import json
from collections.abc import Callable

import aiohttp

from infra.local.aws.client import AwsClient, AwsError
from infra.local.functions.async_events import TooLarge
from infra.local.functions.lambdas import Lambdas
from infra.local.template.addresses import ACCOUNT, queue_arn
from infra.local.template.model import QueueRule, Rule

_LONG_POLL_SECONDS = 20
_BACKOFF_SECONDS = 0.5


def rule_queue(rule: Rule) -> str:
    """Returns the name of the queue into which moto puts the events that match the rule."""
    return f"local-rule-{rule.name}"


async def create_rule(aws: AwsClient, rule: Rule | QueueRule) -> None:
    """Creates a rule, and the queue of a rule for a function.

    Raises:
        AwsError: A call failed.
    """
    if isinstance(rule, Rule):
        await aws.call("sqs", "CreateQueue", QueueName=rule_queue(rule))
    queues = rule.queues if isinstance(rule, QueueRule) else (queue_arn(rule_queue(rule)),)
    pattern = json.dumps(rule.pattern)
    await aws.call("events", "PutRule", Name=rule.name, EventBusName=rule.bus, EventPattern=pattern)
    targets = [{"Id": arn.rpartition(":")[2], "Arn": arn} for arn in queues]
    await aws.call("events", "PutTargets", Rule=rule.name, EventBusName=rule.bus, Targets=targets)


async def follow_rule(rule: Rule, endpoint: str, aws: AwsClient, lambdas: Lambdas, say: Callable[[str], None]) -> None:
    """Invokes the rule's function asynchronously for every matching event, until it is cancelled.

    An event is deleted from its queue when Lambda has accepted it, because EventBridge's part ends there.

    Args:
        rule: The rule.
        endpoint: The URL of the AWS stand-in.
        aws: Its client.
        lambdas: The functions.
        say: Prints a line for the user.
    """
    url = f"{endpoint}/{ACCOUNT}/{rule_queue(rule)}"
    while True:
        try:
            received = await aws.call(
                "sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=_LONG_POLL_SECONDS
            )
            for message in received.get("Messages", []):
                try:
                    lambdas.invoke_async(rule.function, message["Body"].encode())
                except TooLarge as error:
                    say(f"rule {rule.name}: an event is lost: {error}")
                await aws.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except (AwsError, aiohttp.ClientError, TimeoutError, OSError) as error:
            say(f"rule {rule.name}: {type(error).__name__}: {error}; polling again")
            await asyncio.sleep(_BACKOFF_SECONDS)
