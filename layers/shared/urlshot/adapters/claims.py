"""Keeps mails and callbacks from being sent twice, by small objects in S3 under `claim/`.

The first consumer that handles an event stores, for each recipient, the subscriptions that the event answers. Then it
claims the first of them that no other event has answered, sends, and marks the claim with the event. So a repetition of
the event finds the same subscriptions, and sees whether the event was sent, although subscriptions have come or gone
meanwhile. Those of later requests get events of their own: `urlshot.core.subscriptions` says why.

If a consumer dies between sending and marking, another one sends again when the claim has expired, because nobody can
know whether the first one had sent: SES, for example, takes no idempotency token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field

from urlshot.adapters.s3 import Conflict, Gone, put_if, s3_errors, status_of
from urlshot.core.errors import UrlshotError
from urlshot.core.records import CLOCKS, now

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Result = TypeVar("Result")
Form = TypeVar("Form", bound=BaseModel)


class Busy(Exception):
    """Another consumer sends to this recipient at this moment. The event must come again."""


class Answers(BaseModel):
    """The names of the subscriptions that an event answers for one recipient, version 1; never changed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    subscriptions: tuple[str, ...]


class Claim(BaseModel):
    """The claim of a subscription, or of an event for a recipient who gets every event, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    event: str
    """The event_key of the event that is sent."""
    holder: str = Field(default_factory=lambda: secrets.token_hex(8))
    """A random name of the consumer, so that no two consumers write equal objects."""
    until: datetime | None = None
    """When the function of a consumer that sends now ends at the latest."""
    sent: bool = False
    """Whether the event was sent, and so has answered the subscription."""


@dataclass(frozen=True)
class Once(Generic[Result]):
    """The outcome of `Claims.once`."""

    result: Result | None
    """What `send` returned; None if it was not called, because nothing was left to answer."""
    answered: frozenset[str]
    """The names of subscriptions that this event or other ones have answered."""
    ambiguous: bool = False
    """Whether an earlier consumer made the claim and never finished, and so may have sent too."""


class Claims:
    """The claims of one bucket; safe to share between threads."""

    def __init__(self, bucket: str, client: S3Client, clock: Callable[[], datetime] = now) -> None:
        self._bucket = bucket
        self._s3 = client
        self._clock = clock

    def once(
        self, recipient: str, event_key: str, names: Sequence[str], seconds: float, send: Callable[[], Result]
    ) -> Once[Result]:
        """Calls `send` unless this event was sent before or other events have answered all of its subscriptions.

        Args:
            recipient: Identifies the recipient; a part of the objects' keys.
            event_key: The event.
            names: The names of the existing subscriptions that the event answers; empty for a recipient who gets every
                event.
            seconds: How long the caller's function runs at most.
            send: Sends, and raises if that failed. It is called again when the event comes again.

        Raises:
            Busy: Another consumer sends to this recipient.
            Transient, Broken: S3 failed. If that was after `send`, the event is sent again.
        """
        key_of_event = f"{recipient}/{event_key.replace(':', '-')}"
        subscriptions = self._subscriptions(key_of_event, names) if names else ()
        answered = set()
        for name in subscriptions or ("",):
            key = f"{recipient}/{name}" if name else key_of_event
            claim, etag = self._read(Claim, key) or (Claim(event=""), None)
            if claim.sent and claim.event == event_key:
                return Once(None, frozenset(subscriptions))
            if claim.sent:
                answered.add(name)
            elif claim.until is not None and self._clock() < claim.until + CLOCKS:
                raise Busy
            elif not name or name in names:
                result = self._claim_and_send(key, etag, event_key, seconds, send)
                return Once(result, frozenset(subscriptions), ambiguous=claim.until is not None)
        return Once(None, frozenset(answered))

    def _subscriptions(self, key_of_event: str, names: Sequence[str]) -> tuple[str, ...]:
        """Stores the subscriptions that the event answers, and returns those that were stored first."""
        mine = Answers(subscriptions=tuple(names))
        try:
            self._write(key_of_event, mine, None)
        except Busy:
            found = self._read(Answers, key_of_event)
            if found is None:
                raise
            return found[0].subscriptions
        return mine.subscriptions

    def _claim_and_send(
        self, key: str, etag: str | None, event_key: str, seconds: float, send: Callable[[], Result]
    ) -> Result:
        claim = Claim(event=event_key, until=self._clock() + timedelta(seconds=seconds))
        etag = self._write(key, claim, etag)
        try:
            result = send()
        except Exception:
            with suppress(Busy, UrlshotError):  # if this fails, the claim expires
                self._write(key, claim.model_copy(update={"until": None}), etag)
            raise
        self._mark(key, claim, etag)
        return result

    def _mark(self, key: str, claim: Claim, etag: str) -> None:
        self._write(key, claim.model_copy(update={"until": None, "sent": True}), etag)

    def _read(self, form: type[Form], key: str) -> tuple[Form, str] | None:
        with s3_errors("read"):
            try:
                found = self._s3.get_object(Bucket=self._bucket, Key=f"claim/{key}.json")
                return form.model_validate_json(found["Body"].read()), found["ETag"]
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise

    def _write(self, key: str, value: Answers | Claim, etag: str | None) -> str:
        """Writes an object over the one with `etag`, and returns the new ETag.

        Raises:
            Busy: Another consumer wrote first.
        """
        try:
            return put_if(self._s3, self._bucket, f"claim/{key}.json", value.model_dump_json().encode(), etag)
        except (Conflict, Gone) as error:
            # If the same object is stored, an earlier attempt of this write succeeded and only its answer was lost.
            found = self._read(type(value), key)
            if found is None or found[0] != value:
                raise Busy from error
            return found[1]
