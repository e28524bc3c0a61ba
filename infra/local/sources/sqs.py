"""Implements Lambda's event source mapping for SQS: concurrent batches, whose successful messages are deleted.

A message that is not deleted comes again after its visibility timeout, and SQS counts its deliveries.

Source: "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source in Lambda" in the Lambda developer
guide.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from infra.local.aws.client import AwsClient, AwsError
from infra.local.functions.async_events import NotDelivered, TooLarge
from infra.local.functions.lambdas import Lambdas
from infra.local.template.addresses import ACCOUNT, REGION
from infra.local.template.model import SqsMapping

_LONG_POLL_SECONDS = 20
_BACKOFF_SECONDS = 0.5
_LOST = (AwsError, aiohttp.ClientError, TimeoutError, OSError)


class SqsPoller:
    """Runs one mapping until it is cancelled.

    Args:
        mapping: The mapping.
        endpoint: The URL of the AWS stand-in.
        aws: Its client.
        lambdas: The functions.
        say: Prints a line for the user about an error.
    """

    def __init__(
        self, mapping: SqsMapping, endpoint: str, aws: AwsClient, lambdas: Lambdas, say: Callable[[str], None]
    ) -> None:
        self._mapping = mapping
        self._url = f"{endpoint}/{ACCOUNT}/{mapping.queue.rpartition(':')[2]}"
        self._aws = aws
        self._lambdas = lambdas
        self._say = say
        self._batches = asyncio.Semaphore(mapping.concurrency)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._batches.acquire()
                tasks.create_task(self._batch(await self._receive()))

    async def _receive(self) -> list[dict[str, Any]]:
        while True:
            try:
                received = await self._aws.call(
                    "sqs",
                    "ReceiveMessage",
                    QueueUrl=self._url,
                    MaxNumberOfMessages=self._mapping.batch_size,
                    WaitTimeSeconds=_LONG_POLL_SECONDS,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
            except _LOST as error:
                self._say(f"mapping on {self._mapping.queue}: {type(error).__name__}: {error}; polling again")
                await asyncio.sleep(_BACKOFF_SECONDS)
                continue
            if messages := received.get("Messages"):
                return list(messages)

    async def _batch(self, messages: list[dict[str, Any]]) -> None:
        try:
            failed = await self._failed(messages)
            done = [message for message in messages if message["MessageId"] not in failed]
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(done)]
            if entries:
                await self._aws.call("sqs", "DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
        except _LOST as error:
            self._say(f"mapping on {self._mapping.queue}: {type(error).__name__}: {error}; the batch comes again")
        finally:
            self._batches.release()

    async def _failed(self, messages: list[dict[str, Any]]) -> set[str]:
        """Invokes the function with a batch. Returns the ids of the messages that must come again."""
        ids = {str(message["MessageId"]) for message in messages}
        payload = json.dumps(batch_event(self._mapping, messages)).encode()
        try:
            answer = await self._lambdas.invoke_in_turn(self._mapping.function, payload)
        except TooLarge as error:
            self._say(f"mapping on {self._mapping.queue}: {error}")
            return ids
        if answer.error is not None:
            text = answer.payload.decode("utf-8", "replace")[:300]
            self._say(f"{self._mapping.function} failed on a batch of {len(ids)}, all of it comes again: {text}")
            return ids
        return failed_of(answer.payload, ids) if self._mapping.partial else set()


class QueueSender:
    """Sends texts to queues by their ARNs. `endpoint` is the URL of the AWS stand-in."""

    def __init__(self, endpoint: str, aws: AwsClient) -> None:
        self._endpoint = endpoint
        self._aws = aws

    async def send(self, arn: str, text: str) -> None:
        """Sends a text to the queue with this ARN.

        Raises:
            NotDelivered: The queue does not exist or does not answer, or the text is too long.
        """
        url = f"{self._endpoint}/{ACCOUNT}/{arn.rpartition(':')[2]}"
        try:
            await self._aws.call("sqs", "SendMessage", QueueUrl=url, MessageBody=text)
        except _LOST as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from error


def failed_of(payload: bytes, ids: set[str]) -> set[str]:
    """Returns the ids that a partial batch response reports as failed; all ids if the answer is no such response."""
    try:
        answer = json.loads(payload)
        items = (answer or {}).get("batchItemFailures") or []
        failed = {item["itemIdentifier"] for item in items}
    except (ValueError, AttributeError, TypeError, KeyError):
        return ids
    return failed if failed <= ids else ids


def batch_event(mapping: SqsMapping, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns Lambda's event for a batch."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": message.get("MessageAttributes", {}),
                "md5OfBody": message.get("MD5OfBody"),
                "eventSource": "aws:sqs",
                "eventSourceARN": mapping.queue,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
