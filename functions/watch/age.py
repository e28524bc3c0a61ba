"""A lower bound for the age of the oldest message in a queue.

Quorum queues do not report the age of their oldest message, and fetching it would count as a delivery. But a queue
delivers in the order of arrival. Number the messages as they arrive: the oldest message is the one after all messages
that are gone or with a consumer. So each look leaves a mark: the time, and how many messages had arrived. The oldest
mark that counts further than the messages that were taken is a time at which today's oldest message was there.

The bound is lower than the age by less than the time between two looks. It starts again when the broker counts from
zero, because its node was restarted. A message that the broker itself drops after the delivery limit is not counted as
gone; it shifts the numbers by one.

A message that was sent to a delay queue arrives again, so its age starts again: the age of a job is in its record.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from functions.watch.queues import Queue
from urlshot.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

KEY = "watch/queues.json"
MOST = 1000
"""Marks of one queue that are kept. Beyond that, every second mark is dropped, which lowers the bound a little."""


class Mark(NamedTuple):
    """Seconds since the epoch, and how many messages had arrived by then."""

    at: float
    arrived: int


class History(BaseModel):
    """The history of one queue: how many messages were gone at the last look, and the marks, oldest first."""

    gone: int
    marks: list[Mark]


def oldest(queue: Queue, before: History | None, now: float) -> tuple[float, History]:
    """Returns the least age in seconds of the oldest waiting message, 0 if none waits; and the history to keep."""
    taken = queue.gone + queue.unacked
    arrived = taken + queue.ready
    marks = before.marks if before and before.gone <= queue.gone else []
    # No more can have arrived than are counted now, so a mark that counts more was too large.
    marks = [Mark(at, min(count, arrived)) for at, count in marks]
    marks = [mark for mark in marks if mark.arrived > taken]
    if queue.ready and (not marks or marks[-1].arrived < arrived):
        marks.append(Mark(now, arrived))
    if len(marks) > MOST:
        marks = marks[::2]
    return (now - marks[0].at if marks else 0.0), History(gone=queue.gone, marks=marks)


class Memory:
    """The histories of all queues, as one object in the bucket.

    Raises `Transient` (`storage_unavailable`) when S3 does not answer or refuses, from every method.
    """

    def __init__(self, bucket: str, client: S3Client) -> None:
        self._bucket = bucket
        self._s3 = client

    def read(self) -> dict[str, History]:
        """Reads the histories; returns none if there are none, or if another version wrote them."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=KEY)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return {}
        except (ClientError, BotoCoreError) as error:
            raise Transient("storage_unavailable", internal=f"{KEY}: {error}") from error
        try:
            values: dict[str, Any] = json.loads(body)
            return {name: History.model_validate(value) for name, value in values.items()}
        except (ValueError, AttributeError, ValidationError):
            return {}

    def write(self, histories: dict[str, History]) -> None:
        """Writes the histories."""
        body = json.dumps({name: history.model_dump() for name, history in histories.items()}).encode()
        try:
            self._s3.put_object(Bucket=self._bucket, Key=KEY, Body=body, ContentType="application/json")
        except (ClientError, BotoCoreError) as error:
            raise Transient("storage_unavailable", internal=f"{KEY}: {error}") from error
