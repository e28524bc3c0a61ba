"""EventBridge's part: rules that hand events to functions, and schedules.

Which rule an event matches is moto's decision: each rule has an SQS queue of its own as its target there, and what
arrives in it is delivered to the function as Lambda delivers an asynchronous invocation. Rules whose targets are queues
are moto's altogether.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from infra.local.addresses import ACCOUNT, REGION, queue_arn
from infra.local.awsclient import AwsClient, AwsError
from infra.local.lambdas import Lambdas
from infra.local.model import QueueRule, Rule, Schedule

_LONG_POLL_SECONDS = 20
_BACKOFF_SECONDS = 0.5


def rule_queue(rule: Rule) -> str:
    """Name of the queue in which moto puts what matches the rule."""
    return f"local-rule-{rule.name}"


async def create_rule(aws: AwsClient, rule: Rule | QueueRule) -> None:
    """Makes the rule, and the queue of one that has a function for its target. Errors: `AwsError`."""
    if isinstance(rule, Rule):
        await aws.call("sqs", "CreateQueue", QueueName=rule_queue(rule))
    queues = rule.queues if isinstance(rule, QueueRule) else (queue_arn(rule_queue(rule)),)
    pattern = json.dumps(rule.pattern)
    await aws.call("events", "PutRule", Name=rule.name, EventBusName=rule.bus, EventPattern=pattern)
    targets = [{"Id": arn.rpartition(":")[2], "Arn": arn} for arn in queues]
    await aws.call("events", "PutTargets", Rule=rule.name, EventBusName=rule.bus, Targets=targets)


async def follow_rule(rule: Rule, endpoint: str, aws: AwsClient, lambdas: Lambdas, say: Callable[[str], None]) -> None:
    """Hands every event that matches to the rule's function, until cancelled.

    An event leaves its queue once the function has been handed it as an asynchronous invocation, which is where
    EventBridge's own responsibility ends.
    """
    url = f"{endpoint}/{ACCOUNT}/{rule_queue(rule)}"
    while True:
        try:
            received = await aws.call(
                "sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=_LONG_POLL_SECONDS
            )
            for message in received.get("Messages", []):
                lambdas.invoke_async(rule.function, message["Body"].encode())
                await aws.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except (AwsError, aiohttp.ClientError, TimeoutError, OSError) as error:
            say(f"rule {rule.name}: {type(error).__name__}: {error}; polling again")
            await asyncio.sleep(_BACKOFF_SECONDS)


async def follow_schedule(schedule: Schedule, lambdas: Lambdas) -> None:
    """Fires every `schedule.every` seconds, the first time after one period, until cancelled."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += schedule.every
        await asyncio.sleep(max(0.0, due - loop.time()))
        lambdas.invoke_async(schedule.function, json.dumps(schedule.payload or scheduled_event(schedule)).encode())


def scheduled_event(schedule: Schedule) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{schedule.name}"],
        "detail": {},
    }
