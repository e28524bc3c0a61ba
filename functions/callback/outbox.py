"""The queue of callbacks: one message for each event, and from it one for each subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict

from urlshot.aws import with_debug_lines
from urlshot.errors import Broken, Transient
from urlshot.events import Detail
from urlshot.subscriptions import Subscriber

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


class Delivery(BaseModel):
    """The message that has one subscriber told of one event, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    subscriber: Subscriber
    event: Detail


class Outbox:
    """One SQS queue; safe to share between threads. Its methods raise `Transient` or `Broken` when SQS refuses."""

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
        self._url = url
        self._sqs: SQSClient = client or with_debug_lines(boto3.client("sqs", config=config))

    def put(self, delivery: Delivery) -> None:
        """Queues one subscriber's callback."""
        with _sqs_errors("send"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=delivery.model_dump_json())

    def hide(self, receipt: str, seconds: int) -> None:
        """Lets a message that was received come again after so many seconds, 12 hours at most."""
        with _sqs_errors("hide"):
            self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds)


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
