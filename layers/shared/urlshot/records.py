"""A job's record, and what may happen to it: pure functions, so that every interleaving can be a row of a table.

    (nothing) ──create──▶ publishing ──confirmed──▶ queued ──claim──▶ running ──settle──▶ done | failed
                              │                       ▲                  │
                              └──not confirmed──▶ failed                 │ to be tried again
                                                      └──────────────────┘
    done without its PDF, too old or unwanted │ failed, past its retry time │ a lease long out ──take over──▶ publishing

A generation is one life of a job: it is drawn anew with every create and takeover, travels in the message, and is
checked wherever somebody acts, so that whatever an older life still does changes nothing.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from urlshot.errors import UrlshotError
from urlshot.jobs import Report
from urlshot.options import Options

PUBLISH_LEASE = timedelta(seconds=15)
"""How long a publisher may take to have its message confirmed, before another takes the job over."""

QUEUE_LEASE = timedelta(hours=1)
"""How long a job may lie in the queue before a new request stops believing in it."""

GRACE = timedelta(seconds=60)
"""How long past a lease dispatch is left to find it out by itself, before a request takes the job over."""

RETRY_AFTER = timedelta(seconds=60)
"""How long a failed job is not rendered again just because somebody asks."""

State = Literal["publishing", "queued", "running", "done", "failed"]


class LastGood(BaseModel):
    """The PDF that is there, when it is not of the record's own generation."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    generation: str
    finished_at: datetime
    report: Report


class Record(BaseModel):
    """`job/<id>.json`, version 1. Times are aware, in UTC."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: Literal[1] = 1
    id: str
    url: str
    options: Options
    generation: str
    state: State
    attempt: int = 0
    lease_until: datetime
    requested_at: datetime
    finished_at: datetime | None = None
    error: dict[str, Any] | None = None
    report: Report | None = None
    announced: bool = True
    last_good: LastGood | None = None

    def with_(self, **changes: Any) -> Record:
        return self.model_copy(update=changes)


def now() -> datetime:
    """The clock; callers pass it on, so that tests can turn it."""
    return datetime.now(UTC)


def new_generation() -> str:
    return secrets.token_hex(8)


def create(job_id: str, url: str, options: Options, at: datetime, over: Record | None = None) -> Record:
    """A new life of a job, `publishing`; it keeps sight of the PDF that the life before it, `over`, had made."""
    last_good = over.last_good if over else None
    if over and over.state == "done" and over.report and over.finished_at:
        last_good = LastGood(generation=over.generation, finished_at=over.finished_at, report=over.report)
    return Record(
        id=job_id,
        url=url,
        options=options,
        generation=new_generation(),
        state="publishing",
        lease_until=at + PUBLISH_LEASE,
        requested_at=at,
        last_good=last_good,
    )


class Found(Enum):
    """What a request makes of the record that it finds."""

    TAKE_OVER = "take over"
    JOIN = "join"
    """Someone is at it, on the strength of a confirmed publish."""
    WAIT = "wait"
    """Someone is publishing it at this moment."""
    FAILED = "failed"
    """It failed a short while ago; the answer is that failure."""


def look(record: Record, at: datetime, *, again: bool, pdf: bool) -> Found:
    """Decides for a request that was no hit.

    `again` says that a failed job is wanted anew at once (`max_age` is 0); `pdf`, that a PDF is there which is fresh
    enough for the request.
    """
    match record.state:
        case "publishing":
            return Found.WAIT if at < record.lease_until else Found.TAKE_OVER
        case "queued" | "running":
            return Found.JOIN if at < record.lease_until + GRACE else Found.TAKE_OVER
        case "failed":
            return Found.TAKE_OVER if again or at >= retry_at(record) else Found.FAILED
        case "done":
            return Found.JOIN if pdf else Found.TAKE_OVER


def retry_at(record: Record) -> datetime:
    """When a failed job is rendered again for anyone who asks; at once where it never got as far as the queue."""
    finished = record.finished_at or record.requested_at
    return finished if (record.error or {}).get("code") == "queue_unavailable" else finished + RETRY_AFTER


class Claim(Enum):
    """What dispatch makes of a message of ours and the record that it finds."""

    RUN = "run"
    PARK = "park"
    """Another delivery of this message is being worked on: look again when its lease ends."""
    ANNOUNCE = "announce"
    """It ended, and whoever ended it died before all was told."""
    EXHAUST = "exhaust"
    """Its attempts are used up."""
    DROP = "drop"
    """An older generation, a deleted job, or a duplicate of one that is done."""


def claim(record: Record | None, generation: str, at: datetime, max_attempts: int) -> Claim:
    """Decides what a delivered message of `generation` may do."""
    if record is None or record.generation != generation:
        return Claim.DROP
    match record.state:
        case "done" | "failed":
            return Claim.DROP if record.announced else Claim.ANNOUNCE
        case "running" if at < record.lease_until:
            return Claim.PARK
        case _:
            return Claim.RUN if record.attempt < max_attempts else Claim.EXHAUST


def queued(record: Record, at: datetime) -> Record:
    """The publish was confirmed."""
    return record.with_(state="queued", lease_until=at + QUEUE_LEASE)


def unpublished(record: Record, error: UrlshotError, at: datetime) -> Record:
    """The publish was not confirmed: the caller hears it at once, so nothing is left to announce."""
    return record.with_(state="failed", finished_at=at, error=error.public())


def running(record: Record, lease: timedelta, at: datetime) -> Record:
    return record.with_(state="running", attempt=record.attempt + 1, lease_until=at + lease)


def waiting(record: Record, delay: timedelta, at: datetime, *, spent: bool) -> Record:
    """To be tried again after `delay`; `spent` says whether the attempt counts."""
    attempt = record.attempt if spent else record.attempt - 1
    return record.with_(state="queued", attempt=attempt, lease_until=at + delay + QUEUE_LEASE)


def done(record: Record, report: Report, at: datetime) -> Record:
    """Made; `last_good` is dropped, because this generation's PDF has taken that one's place."""
    return record.with_(
        state="done", finished_at=at, report=report, error=None, announced=False, last_good=None, lease_until=at
    )


def failed(record: Record, error: dict[str, Any], at: datetime) -> Record:
    return record.with_(state="failed", finished_at=at, error=error, announced=False, lease_until=at)
