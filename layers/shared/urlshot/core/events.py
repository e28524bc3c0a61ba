"""Defines the events of the EventBridge bus, which AMQP consumers get in the same form."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from urlshot.core.errors import encodable
from urlshot.core.records import Record, new_generation
from urlshot.core.render_contract import Report

SOURCE = "urlshot"
DetailType = Literal["ShotCompleted", "ShotFailed"]
Audience = Literal["everyone", "subscribers"]


class Detail(BaseModel):
    """The detail of an event, version 1.

    Consumers deduplicate by `event_key`, because EventBridge gives every PutEvents a new event id.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    event_key: str
    id: str
    url: str
    bucket: str
    key: str | None
    """The PDF's key in the bucket; null if there is no PDF."""
    report: Report | None
    error: dict[str, Any] | None
    attempts: int
    cached: bool
    """Whether the event repeats an earlier result: a stored PDF, or a recent failure."""
    requested_at: datetime
    finished_at: datetime
    answers_until: datetime | None = None
    """The event of an end answers the subscriptions of requests that were made until then; null means `finished_at`."""
    queue_seconds: float
    """Seconds from the request to the hand-over of the last attempt; to the end if there was no attempt."""
    render_seconds: float
    """Seconds from that hand-over to the end; 0 if there was no attempt."""
    audience: Audience = "everyone"
    """`subscribers`: only the named subscriptions are notified, so for example the operator gets no mail."""
    subscriptions: tuple[str, ...] = ()
    """Names of the subscriptions that a cached event answers. The event of an end answers all that wait for it."""


class Refusal(BaseModel):
    """The event on `shot_direct.failed` for a message that never became a job, version 1.

    Its fields are those fields of `Detail` that have a value here.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    event_key: str
    id: None = None
    url: str | None
    """The URL as it is in the message; null if the message has none."""
    error: dict[str, Any]
    finished_at: datetime


def pdf_key(job_id: str) -> str:
    return f"pdf/{job_id}.pdf"


def detail(record: Record, bucket: str, announced_at: datetime | None = None) -> Detail:
    """Returns the event of a record that is `done` or `failed`.

    Args:
        record: The record.
        bucket: The bucket.
        announced_at: A time after the end was written and before it is noted as announced.
    """
    finished = record.finished_at or record.requested_at
    started = min(record.started_at or finished, finished)
    return Detail(
        event_key=f"{record.id}:{record.generation}:{record.state}",
        id=record.id,
        url=record.url,
        bucket=bucket,
        key=pdf_key(record.id) if record.state == "done" else None,
        report=record.report if record.state == "done" else None,
        error=record.error if record.state == "failed" else None,
        attempts=record.attempt,
        cached=False,
        requested_at=record.requested_at,
        finished_at=finished,
        answers_until=announced_at,
        queue_seconds=round(max(0.0, (started - record.requested_at).total_seconds()), 3),
        render_seconds=round((finished - started).total_seconds(), 3),
    )


def cached(
    job_id: str, url: str, bucket: str, at: datetime, report: Report | None, only: tuple[str, ...] = ()
) -> Detail:
    """Returns the event for a request that a stored PDF answered, with a new `event_key`.

    Args:
        job_id: The id of the job.
        url: The URL of the page.
        bucket: The bucket with the PDF.
        at: When the request was answered.
        report: The report of the PDF, if there is one.
        only: The names of the subscriptions that the event is for. If empty, the event is for everyone but answers no
            subscription.
    """
    return Detail(
        event_key=f"{job_id}:{new_generation()}:cached",
        id=job_id,
        url=url,
        bucket=bucket,
        key=pdf_key(job_id),
        report=report,
        error=None,
        attempts=0,
        cached=True,
        requested_at=at,
        finished_at=at,
        queue_seconds=0.0,
        render_seconds=0.0,
        **_addressed(only),
    )


def announced_again(event: Detail, only: tuple[str, ...] = ()) -> Detail:
    """Returns the event for a request whose job failed recently, with a new `event_key`; `only` is as in `cached`."""
    own = {"event_key": f"{event.id}:{new_generation()}:failed", "cached": True}
    return event.model_copy(update={**own, **_addressed(only)})


def _addressed(only: tuple[str, ...]) -> dict[str, Any]:
    return {"audience": "subscribers" if only else "everyone", "subscriptions": only}


def refusal(body: bytes, error: dict[str, Any], at: datetime) -> Refusal:
    """Returns the event for a refused message; `error` is `UrlshotError.public()`."""
    try:
        value = json.loads(body)
        url = value.get("url") if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        url = None
    shown = encodable(url[:2048]) if isinstance(url, str) else None
    return Refusal(event_key=f"{new_generation()}:refused", url=shown, error=error, finished_at=at)


def detail_type(event: Detail) -> DetailType:
    return "ShotFailed" if event.error else "ShotCompleted"
