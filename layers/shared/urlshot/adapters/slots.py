"""Limits concurrency across instances by slots: objects in the bucket with one holder each.

`dispatch` takes a slot (`slot/<n>`) for each page that is rendered. `api` takes one (`wait/<n>`) for each request that
waits for a PDF. The slots are in S3 because instances of a function do not know each other, and Lambda's own limits
count neither pages nor waiting requests.

A conditional PUT takes a slot. A conditional DELETE with the ETag of the holder's object frees it, so only the holder
can free a slot, and only once. If a holder dies, its slot is free again when the lease is over.
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

from urlshot.adapters.s3 import Conflict, Gone, delete_if, put_if, s3_errors, status_of
from urlshot.core import records
from urlshot.core.render_contract import Slot

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Free:
    """A slot that was free when it was listed; `etag` is that of an expired holder, if there is one."""

    number: int
    etag: str | None = None


class Slots:
    """The slots `<kind>/0` to `<kind>/<count - 1>` of a bucket; thread-safe.

    Every method raises `Transient` (`storage_unavailable`) if S3 does not answer, and `Broken` if S3 refuses.
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
        """Prepares the slots. A slot whose holder does not free it is free again after `lease`."""
        self.count = count
        self._bucket = bucket
        self._s3 = s3
        self._kind = kind
        self._lease = lease
        self._clock = clock

    def list_free(self) -> list[Free]:
        """Lists the free slots in the order of their numbers, with one LIST."""
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
        """Takes a slot with one PUT; returns None if the slot has another holder meanwhile."""
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
        """Returns the slot's ETag if `holder` has the slot because of an earlier attempt whose answer was lost."""
        with s3_errors("read"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(number))
                return answer["ETag"] if answer["Body"].read() == holder else None
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise

    def give_back(self, slot: Slot) -> None:
        """Frees a slot with one DELETE, unless the slot has another holder or none."""
        with suppress(Conflict):
            delete_if(self._s3, self._bucket, self._key(slot.number), slot.etag)

    def _key(self, number: int) -> str:
        return f"{self._kind}/{number}"
