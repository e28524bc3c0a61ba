"""Computes a lower bound for the age of the oldest message in a queue.

Quorum queues do not report the age of their oldest message, and fetching the message would count as a delivery. But a
queue delivers in the order of arrival. If the messages are numbered as they arrive, the oldest waiting message is the
first one after those that are gone or with a consumer. So each measurement stores a mark: the time, and how many
messages had arrived by then. At the time of the oldest mark that exceeds the number of taken messages, today's oldest
message was already there.

The bound is lower than the age by less than the time between two measurements. It starts again when the broker counts
from zero after a restart of its node. The broker does not count a message as gone that it drops at the delivery limit,
so each such message shifts the numbers by one.

A message that returns from a delay queue arrives again, so its age starts again. The age of a job is in its record.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from functions.watch.queues import Queue
from urlshot.core.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

KEY = "watch/queues.json"
MOST = 1000
"""The number of marks that are kept of one queue. Beyond it every second mark is dropped, which lowers the bound."""


class Mark(NamedTuple):
    """Holds a time in seconds since the epoch, and how many messages had arrived by then."""

    at: float
    arrived: int


class History(BaseModel):
    """Holds how many messages of a queue were gone at the last measurement, and its marks, the oldest first."""

    gone: int
    marks: list[Mark]


def oldest(queue: Queue, before: History | None, now: float) -> tuple[float, History]:
    """Returns a lower bound for the age of the oldest waiting message, and the history to keep.

    Args:
        queue: the numbers of this measurement.
        before: the history that the measurement before kept; None if there is none.
        now: seconds since the epoch.

    Returns:
        The bound in seconds, 0 if no message waits; and the new history.
    """
    taken = queue.gone + queue.unacked
    arrived = taken + queue.ready
    marks = before.marks if before and before.gone <= queue.gone else []
    # No more messages can have arrived than are counted now, so a mark with a larger number is wrong.
    marks = [Mark(at, min(count, arrived)) for at, count in marks]
    marks = [mark for mark in marks if mark.arrived > taken]
    if queue.ready and (not marks or marks[-1].arrived < arrived):
        marks.append(Mark(now, arrived))
    if len(marks) > MOST:
        marks = marks[::2]
    return (now - marks[0].at if marks else 0.0), History(gone=queue.gone, marks=marks)


class Memory:
    """Keeps the histories of all queues in one object of the bucket.

    Every method raises `Transient` (`storage_unavailable`) if S3 does not answer or refuses.
    """

    def __init__(self, bucket: str, client: S3Client) -> None:
        self._bucket = bucket
        self._s3 = client

    def read(self) -> dict[str, History]:
        """Reads the histories by queue name; returns an empty dict if there are none, or another version wrote them."""
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
