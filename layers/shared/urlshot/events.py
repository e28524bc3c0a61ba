"""What goes onto the EventBridge bus, and in the same form to plain AMQP consumers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from urlshot.jobs import Report
from urlshot.records import Record, new_generation

SOURCE = "urlshot"
DetailType = Literal["ShotCompleted", "ShotFailed"]
Audience = Literal["everyone", "subscribers"]


class Detail(BaseModel):
    """The detail of an event, version 1.

    EventBridge gives every PutEvents an event id of its own, so `event_key` is the key to deduplicate by.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    event_key: str
    id: str
    url: str
    bucket: str
    key: str | None
    """Where the PDF lies in the bucket; null when there is none."""
    report: Report | None
    error: dict[str, Any] | None
    attempts: int
    cached: bool
    """Whether this had been told before: a PDF that was there already, or a failure of just now."""
    requested_at: datetime
    finished_at: datetime
    queue_seconds: float
    """From the request to the hand-over of the last attempt to `render`, or to the end where there was none."""
    render_seconds: float
    """From that hand-over to the end; 0 where there was none."""
    audience: Audience = "everyone"
    """`subscribers`: it answers single requests, so that nobody is told who did not ask, such as the operator."""
    subscriptions: tuple[str, ...] = ()
    """Of a cached event, the names of the subscriptions that it answers. An end answers all that wait for it."""


class Refusal(BaseModel):
    """What `shot_direct.failed` carries of a message that never became a job, version 1.

    It has the names that a `Detail` has, where they have a value.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    event_key: str
    id: None = None
    url: str | None
    """As the message gives it; null where the message has none."""
    error: dict[str, Any]
    finished_at: datetime


def pdf_key(job_id: str) -> str:
    return f"pdf/{job_id}.pdf"


def detail(record: Record, bucket: str) -> Detail:
    """Returns the event of a record that is `done` or `failed`."""
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
        queue_seconds=round(max(0.0, (started - record.requested_at).total_seconds()), 3),
        render_seconds=round((finished - started).total_seconds(), 3),
    )


def cached(
    job_id: str, url: str, bucket: str, at: datetime, report: Report | None, only: tuple[str, ...] = ()
) -> Detail:
    """The event for who asked for a PDF which was there already, under a key of its own.

    With names of subscriptions in `only` it is for those alone; without, it is told to everyone and answers none.
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


def told_again(event: Detail, only: tuple[str, ...] = ()) -> Detail:
    """The event for who asked for what has just failed, under a key of its own; `only` is as with `cached`."""
    own = {"event_key": f"{event.id}:{new_generation()}:failed", "cached": True}
    return event.model_copy(update={**own, **_addressed(only)})


def _addressed(only: tuple[str, ...]) -> dict[str, Any]:
    return {"audience": "subscribers" if only else "everyone", "subscriptions": only}


def refusal(body: bytes, error: dict[str, Any], at: datetime) -> Refusal:
    """Returns what is published of a message that was refused; `error` is `UrlshotError.public()`."""
    try:
        value = json.loads(body)
        url = value.get("url") if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        url = None
    shown = url[:2048] if isinstance(url, str) else None
    return Refusal(event_key=f"{new_generation()}:refused", url=shown, error=error, finished_at=at)


def detail_type(event: Detail) -> DetailType:
    return "ShotFailed" if event.error else "ShotCompleted"
