"""Sends events to EventBridge, and checks that EventBridge accepted each of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from urlshot.adapters.aws import client
from urlshot.core.errors import Broken, Transient
from urlshot.core.events import SOURCE, Detail, detail_type

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

_MAX_ENTRIES = 10  # EventBridge API reference, PutEvents
_TRIES = 3


class Bus:
    """One event bus; safe to share between threads."""

    def __init__(self, name: str, events: EventBridgeClient | None = None) -> None:
        self._name = name
        self._given = events

    @cached_property
    def _events(self) -> EventBridgeClient:
        """The client, made at the first event: most requests of `api` send none."""
        made: EventBridgeClient = self._given or client("events")
        return made

    def put(self, details: list[Detail]) -> None:
        """Sends events, and sends those again that PutEvents did not accept, up to three times in all.

        Raises:
            Transient: EventBridge does not answer, or still did not accept some events.
            Broken: EventBridge refuses the call.
        """
        for start in range(0, len(details), _MAX_ENTRIES):
            self._put([self._entry(one) for one in details[start : start + _MAX_ENTRIES]])

    def _entry(self, one: Detail) -> PutEventsRequestEntryTypeDef:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": detail_type(one),
            "Detail": one.model_dump_json(),
        }

    def _put(self, entries: list[PutEventsRequestEntryTypeDef]) -> None:
        reason = ""
        for _ in range(_TRIES):
            try:
                answer = self._events.put_events(Entries=entries)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 and "Throttl" not in code:
                    raise Broken(f"PutEvents: {code}") from error
                raise Transient("storage_unavailable", internal=f"PutEvents: {code}") from error
            except BotoCoreError as error:
                raise Transient("storage_unavailable", internal=f"PutEvents: {error}") from error
            failed = [
                (entry, str(result.get("ErrorCode")))
                for entry, result in zip(entries, answer["Entries"], strict=True)
                if "ErrorCode" in result
            ]
            if not failed:
                return
            entries, reason = [entry for entry, _ in failed], failed[0][1]
        raise Transient("storage_unavailable", internal=f"PutEvents did not accept {len(entries)} entries: {reason}")
