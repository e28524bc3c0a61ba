"""How long the oldest message of a queue has been waiting, at least.

Quorum queues do not tell the age of their head, and to fetch it would count as a delivery. But a queue hands out in the
order of arrival: number the messages as they arrive, and the head is the one after all that are gone or in somebody's
hands. So each look leaves a mark, when and how many had arrived by then. The oldest mark that counts further than what
was taken is a time at which today's head was there already.

The age is thus a lower bound, and by less than the time between two looks below the truth. It starts anew when the
broker counts anew, because its node was restarted. A message that the broker gives up by itself, after its delivery
limit, is not counted as gone and shifts the numbers by one.
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
"""Marks of one queue that are kept; beyond, every second one goes, which makes the bound a little lower."""


class Mark(NamedTuple):
    """Seconds since the epoch, and how many messages had arrived by then."""

    at: float
    arrived: int


class History(BaseModel):
    """What was seen of one queue: how many were gone at the last look, and the marks, oldest first."""

    gone: int
    marks: list[Mark]


def oldest(queue: Queue, before: History | None, now: float) -> tuple[float, History]:
    """Seconds that the oldest waiting message has been there for at least, 0 where none waits; and what to remember."""
    taken = queue.gone + queue.unacked
    arrived = taken + queue.ready
    marks = before.marks if before and before.gone <= queue.gone else []
    # Nothing can have arrived that is not counted now, so a mark that says otherwise was too large.
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
        """What was written last; nothing where there is none, or where it is of another version."""
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
        body = json.dumps({name: history.model_dump() for name, history in histories.items()}).encode()
        try:
            self._s3.put_object(Bucket=self._bucket, Key=KEY, Body=body, ContentType="application/json")
        except (ClientError, BotoCoreError) as error:
            raise Transient("storage_unavailable", internal=f"{KEY}: {error}") from error
