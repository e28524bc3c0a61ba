"""Writes to the SQS queue of callbacks, which holds one message per event and one per subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict

from urlshot.adapters.aws import with_debug_lines
from urlshot.core.errors import Broken, Transient
from urlshot.core.events import Detail
from urlshot.core.subscriptions import Subscriber

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


class Delivery(BaseModel):
    """Asks for the callback about one event to one subscriber; a message of the queue, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    subscriber: Subscriber
    event: Detail


class Outbox:
    """Sends to one SQS queue; is safe to share between threads.

    Every method raises `Transient` (`queue_unavailable`) if SQS does not answer, is overloaded or fails, and `Broken`
    if it refuses the call.
    """

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        self._url = url
        self._sqs: SQSClient = client or _sqs_client()

    def put(self, delivery: Delivery) -> None:
        """Queues the callback to one subscriber."""
        with _sqs_errors("send"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=delivery.model_dump_json())

    def hide(self, receipt: str, seconds: int) -> None:
        """Hides a received message, so that it comes again after `seconds`, at most 12 hours."""
        with _sqs_errors("hide"):
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds)


def _sqs_client() -> SQSClient:
    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return with_debug_lines(boto3.client("sqs", config=config))


@contextmanager
def _sqs_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 and "Throttl" not in code:
            raise Broken(f"SQS {doing}: {code}") from error
        raise Transient("queue_unavailable", internal=f"SQS {doing}: {code}") from error
    except BotoCoreError as error:
        raise Transient("queue_unavailable", internal=f"SQS {doing}: {error}") from error
