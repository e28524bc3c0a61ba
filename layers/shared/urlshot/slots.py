"""Slots: a bounded number of places with one holder each, kept as objects in the bucket.

`dispatch` takes a slot for each page that is rendered (`slot/<n>`), `api` takes one for each request that waits for a
PDF (`wait/<n>`). No function knows what other instances do, and Lambda counts neither.

A conditional PUT takes a slot. A conditional DELETE gives it back and names the ETag of the holder's own object, so
only the holder can give a slot back, and only once. A slot whose holder died is free again when its lease is over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from urlshot import records
from urlshot.jobs import Slot
from urlshot.s3 import Conflict, Gone, delete_if, put_if, s3_errors, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Free:
    """A slot that is free, or was; `etag` is that of a former holder whose lease is over."""

    number: int
    etag: str | None = None


class Slots:
    """The slots `<kind>/0` to `<kind>/<count - 1>` of a bucket; safe to share between threads.

    Raises `Transient` (`storage_unavailable`) when S3 does not answer, from every method.
    """

    def __init__(
        self,
        bucket: str,
        s3: S3Client,
        kind: str,
        count: int,
        lease: timedelta,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        """Makes the slots; one whose holder does not give it back is free again after `lease`."""
        self.count = count
        self._bucket = bucket
        self._s3 = s3
        self._kind = kind
        self._lease = lease
        self._clock = clock

    def list_free(self) -> list[Free]:
        """Lists the free slots in the order of their numbers. Costs one LIST."""
        with s3_errors("list"):
            listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._kind}/").get("Contents", [])
        held = {one["Key"].removeprefix(f"{self._kind}/"): one for one in listed}
        over = self._clock() - self._lease
        free = []
        for number in range(self.count):
            holder = held.get(str(number))
            if holder is None:
                free.append(Free(number))
            elif holder["LastModified"] < over:
                free.append(Free(number, holder["ETag"]))
        return free

    def take(self, free: Free) -> Slot | None:
        """Takes a slot; returns None if it has another holder by now. Costs one PUT."""
        # The content is random, so that no two holders' objects have the same ETag.
        holder = json.dumps({"holder": secrets.token_hex(16)}).encode()
        try:
            etag = put_if(self._s3, self._bucket, self._key(free.number), holder, free.etag)
        except Conflict as conflict:
            found = self._etag_of(free.number, holder) if conflict.retried else None
            if found is None:
                return None
            etag = found
        except Gone:
            return None
        return Slot(number=free.number, etag=etag)

    def _etag_of(self, number: int, holder: bytes) -> str | None:
        """Returns the slot's ETag if `holder` has it: an earlier attempt took it, and its answer was lost."""
        with s3_errors("read"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(number))
                return answer["ETag"] if answer["Body"].read() == holder else None
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise

    def give_back(self, slot: Slot) -> None:
        """Gives a slot back, unless it has another holder by now, or none. Costs one DELETE."""
        with suppress(Conflict):
            delete_if(self._s3, self._bucket, self._key(slot.number), slot.etag)

    def _key(self, number: int) -> str:
        return f"{self._kind}/{number}"
