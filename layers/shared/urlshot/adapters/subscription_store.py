"""Stores subscriptions as objects in S3. `urlshot.core.subscriptions` explains what they are and why this is enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from urlshot.adapters.s3 import s3_errors, status_of
from urlshot.core.errors import Broken, Transient, UrlshotError
from urlshot.core.events import Detail
from urlshot.core.subscriptions import Kind, Subscriber, Subscription, prefix, serves

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_PAGE = 1000  # keys of one LIST or DELETE; the maximum of S3
_PAGES = 20


@dataclass(frozen=True)
class Waiting:
    """A subscriber that an event is for, and its subscriptions that the event answers."""

    subscriber: Subscriber
    subscriptions: tuple[Subscription, ...]


class SubscriptionStore:
    """The subscriptions of one bucket; thread-safe.

    Every method raises `Transient` (`storage_unavailable`) if S3 does not answer, and `Broken` if S3 refuses or a job
    has more than 20,000 subscriptions.
    """

    def __init__(self, bucket: str, client: S3Client) -> None:
        self._bucket = bucket
        self._s3 = client

    @contextmanager
    def asking(self, job_id: str, who: Iterable[Subscriber], at: datetime) -> Iterator[tuple[str, ...]]:
        """Subscribes during the acceptance of a request, and undoes it if an error is raised in the `with` block.

        After an error the subscriptions are not needed, because the caller gets the error as the answer.

        Args:
            job_id: The id of the job.
            who: The subscribers that the request names.
            at: When the request was made.

        Yields:
            The names of the subscriptions, for `Detail.subscriptions`.
        """
        added: list[Subscription] = []
        try:
            for subscriber in who:
                subscription = Subscription.of(job_id, subscriber, at)
                added.append(subscription)  # before the write: it may succeed although its answer is lost
                self._write(subscription, subscriber)
            yield tuple(one.name for one in added)
        except BaseException:
            with suppress(UrlshotError):
                self.delete(added)
            raise

    def waiting(self, event: Detail, kind: Kind) -> list[Waiting]:
        """Returns all subscribers of a kind that the event is for."""
        by_hash: dict[str, list[Subscription]] = {}
        for one in self._answered(event, prefix(event.id, kind)):
            by_hash.setdefault(one.hash, []).append(one)
        found = []
        for subscriptions in by_hash.values():
            subscriber = next(filter(None, map(self._read, subscriptions)), None)
            if subscriber is not None:
                found.append(Waiting(subscriber, tuple(subscriptions)))
        return found

    def still_waiting(self, event: Detail, subscriber: Subscriber) -> list[Subscription]:
        """Returns the subscriptions of one subscriber that the event answers and that still exist."""
        return self._answered(event, prefix(event.id, subscriber.kind, subscriber.hash))

    def delete(self, subscriptions: Iterable[Subscription]) -> None:
        """Deletes subscriptions that were answered or are withdrawn."""
        keys = [one.key for one in subscriptions]
        for start in range(0, len(keys), _PAGE):
            self._delete(keys[start : start + _PAGE])

    def delete_all(self, job_id: str) -> None:
        """Deletes all subscriptions of a deleted job."""
        for page in self._pages(prefix(job_id)):
            self.delete(page)

    def _answered(self, event: Detail, start: str) -> list[Subscription]:
        return [one for page in self._pages(start) for one in page if serves(event, one)]

    def _pages(self, start: str) -> Iterator[list[Subscription]]:
        listed = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=start, PaginationConfig={"PageSize": _PAGE}
        )
        with s3_errors("list"):
            for number, page in enumerate(listed):
                if number == _PAGES:
                    raise Broken(f"there are more than {_PAGES * _PAGE} subscriptions under {start}")
                keys = (item["Key"] for item in page.get("Contents", []))
                yield list(filter(None, map(Subscription.parse, keys)))

    def _read(self, subscription: Subscription) -> Subscriber | None:
        """Returns the subscriber; None if the subscription was answered or withdrawn meanwhile."""
        with s3_errors("read"):
            try:
                body = self._s3.get_object(Bucket=self._bucket, Key=subscription.key)["Body"].read()
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
        return Subscriber.model_validate_json(body)

    def _write(self, subscription: Subscription, subscriber: Subscriber) -> None:
        with s3_errors("write"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=subscription.key,
                Body=subscriber.model_dump_json().encode(),
                ContentType="application/json",
            )

    def _delete(self, keys: list[str]) -> None:
        with s3_errors("delete"):
            answer = self._s3.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        if failed := answer.get("Errors", []):
            raise Transient("storage_unavailable", internal=f"S3 delete: {failed[0].get('Code')}")
