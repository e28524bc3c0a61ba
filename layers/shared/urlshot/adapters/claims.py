"""Keeps mails and callbacks from being sent twice: an object for each subscriber of a job remembers what was sent.

A consumer claims the object, sends, and writes which event it sent and which subscriptions the event answered. One
object holds both, because each can come twice: an event with other subscriptions than before, and a subscription with
another event. Two objects could not be changed together, and a consumer that died between them would send again.

If a consumer dies between sending and writing, another one sends again when the claim has expired, because nobody can
know whether the first one had sent: SES, for example, takes no idempotency token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from urlshot.adapters.s3 import Conflict, Gone, put_if, s3_errors, status_of
from urlshot.core.errors import UrlshotError
from urlshot.core.records import CLOCKS, now

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Result = TypeVar("Result")

KEPT = timedelta(days=6)
"""How long a sent event is remembered: for longer than EventBridge, SQS or a replay is likely to repeat it."""
MOST_KEPT = 500
"""The most events, and the most subscriptions, that one object remembers; it then has at most about 100 kB."""


class Busy(Exception):
    """Another consumer sends to this subscriber at this moment. The event must come again."""


class Memory(BaseModel):
    """The object of one subscriber of a job, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    holder: str = ""
    """A random name of the consumer that sends now; empty if none does."""
    until: datetime | None = None
    """When the holder's function ends at the latest."""
    sent: Mapping[str, datetime] = {}
    """The event_keys of the sent events, and when each was sent."""
    answered: Mapping[str, datetime] = {}
    """The names of the subscriptions that these events answered."""


@dataclass(frozen=True)
class Once(Generic[Result]):
    """The outcome of `Claims.once`."""

    result: Result | None
    """What `send` returned; None if it was not called, because the event or all of the subscriptions were handled."""
    answered: frozenset[str]
    """Those of the given subscriptions that this event or earlier ones have answered."""
    ambiguous: bool = False
    """Whether an earlier consumer claimed the object and never finished, and so may have sent too."""


class Claims:
    """The memories of one bucket; safe to share between threads."""

    def __init__(self, bucket: str, client: S3Client, clock: Callable[[], datetime] = now) -> None:
        self._bucket = bucket
        self._s3 = client
        self._clock = clock

    def once(
        self, subscriber: str, event_key: str, names: Sequence[str], seconds: float, send: Callable[[], Result]
    ) -> Once[Result]:
        """Calls `send` unless this event was sent before or earlier events have answered all of the subscriptions.

        Args:
            subscriber: Identifies the job and the subscriber; a part of the object's key.
            event_key: The event.
            names: The names of the subscriptions that the event answers; empty for a subscriber who gets every event.
            seconds: How long the caller's function runs at most.
            send: Sends, and raises if that failed. It is then called again when the event comes again.

        Raises:
            Busy: Another consumer sends to this subscriber.
            Transient, Broken: S3 failed. If that was after `send`, the event is sent again.
        """
        memory, etag = self._read(subscriber)
        at = self._clock()
        answered = frozenset(name for name in names if name in memory.answered)
        if event_key in memory.sent or (names and len(answered) == len(names)):
            return Once(None, answered)
        if memory.until is not None and at < memory.until + CLOCKS:
            raise Busy
        claimed = memory.model_copy(update={"holder": secrets.token_hex(8), "until": at + timedelta(seconds=seconds)})
        etag = self._write(subscriber, claimed, etag)
        try:
            result = send()
        except Exception:
            with suppress(Busy, UrlshotError):  # if this fails, the claim expires
                self._write(subscriber, memory.model_copy(update={"holder": "", "until": None}), etag)
            raise
        self._mark(subscriber, memory, etag, event_key, names)
        return Once(result, frozenset(names), ambiguous=memory.until is not None)

    def _mark(self, subscriber: str, memory: Memory, etag: str, event_key: str, names: Sequence[str]) -> None:
        at = self._clock()
        sent = _newest({**memory.sent, event_key: at}, at)
        self._write(
            subscriber, Memory(sent=sent, answered=_newest({**memory.answered, **dict.fromkeys(names, at)}, at)), etag
        )

    def _read(self, subscriber: str) -> tuple[Memory, str | None]:
        with s3_errors("read"):
            try:
                found = self._s3.get_object(Bucket=self._bucket, Key=_key(subscriber))
                return Memory.model_validate_json(found["Body"].read()), found["ETag"]
            except ClientError as error:
                if status_of(error) == 404:
                    return Memory(), None
                raise

    def _write(self, subscriber: str, memory: Memory, etag: str | None) -> str:
        """Writes a memory over the one with `etag`, and returns the new ETag.

        Raises:
            Busy: Another consumer wrote first.
        """
        body = memory.model_dump_json(exclude_defaults=True).encode()
        try:
            return put_if(self._s3, self._bucket, _key(subscriber), body, etag)
        except (Conflict, Gone) as error:
            found, new_etag = self._read(subscriber)
            # If the same memory is stored, an earlier attempt of this write succeeded and only its answer was lost.
            if new_etag is not None and found == memory:
                return new_etag
            raise Busy from error


def _key(subscriber: str) -> str:
    return f"claim/{subscriber}.json"


def _newest(times: Mapping[str, datetime], at: datetime) -> dict[str, datetime]:
    """Returns the entries of the last `KEPT`, at most `MOST_KEPT`."""
    kept = sorted((item for item in times.items() if at - item[1] < KEPT), key=lambda item: item[1])
    return dict(kept[-MOST_KEPT:])
