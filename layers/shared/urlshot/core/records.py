"""Defines a job's record and its changes, as pure functions, so that a test can list every interleaving in a table.

    (nothing) ──create──▶ publishing ──confirmed──▶ queued ──claim──▶ running ──settle──▶ done | failed
                              │                       ▲                  │
                              └──not confirmed──▶ failed                 │ to be tried again
                                                      └──────────────────┘
    done without its PDF, too old or unwanted │ failed, past its retry time │ a lease over ──take over──▶ publishing

A generation is one life of a job: every create and every takeover draws a new one. A claim is one attempt to render it:
every hand-over to `render` draws a new one. The messages carry both, and every step compares them with the record. So a
late or repeated step of an older generation or claim changes nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from urlshot.core.errors import UrlshotError
from urlshot.core.lease import SETTLE_SECONDS
from urlshot.core.messages import Priority, StartMessage
from urlshot.core.options import JobOptions, Options
from urlshot.core.private import Private
from urlshot.core.render_contract import Report

PUBLISH_LEASE = timedelta(seconds=15)
"""How long a publisher may wait for the confirm of its message before another request takes the job over."""

QUEUE_LEASE = timedelta(hours=1)
"""How long a job may wait in the queue before a request takes it over."""

GRACE = timedelta(seconds=60)
"""How long after a lease a request takes the job over: `dispatch` gets the chance to continue the job first."""

ANNOUNCE_WITHIN = timedelta(hours=24)
"""How long after its lease a job with an unannounced end cannot be taken over. Until the end is announced, a message of
the job is on the broker; the limit is for the case that an operator has deleted that message."""

RETRY_AFTER = timedelta(seconds=60)
"""How long after a failure requests get that failure as their answer, instead of a new render."""

CLOCKS = timedelta(seconds=1)
"""How much the clocks of two functions may differ."""

State = Literal["publishing", "queued", "running", "done", "failed"]


class LastGood(BaseModel):
    """The published PDF of an older generation than the record's."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    generation: str
    finished_at: datetime
    report: Report


class Record(BaseModel):
    """The record of a job, `job/<id>.json`, version 1. Times are aware and in UTC."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: Literal[1] = 1
    id: str
    url: str
    options: JobOptions
    generation: str
    state: State
    priority: Priority = "normal"
    """Decides which work queue the message is in."""
    attempt: int = 0
    claim: str = ""
    """The newest claim; empty before the first one."""
    not_before: datetime | None = None
    """When the next attempt is due; null if no attempt is postponed."""
    lease_until: datetime
    """When the lease of the publisher, the queue or the claim ends. For an ended job: when the lease for its
    announcement ends; a request takes over an unannounced end only `ANNOUNCE_WITHIN` later."""
    requested_at: datetime
    started_at: datetime | None = None
    """When the newest claim was made."""
    finished_at: datetime | None = None
    error: dict[str, Any] | None = None
    report: Report | None = None
    upload: str | None = None
    """The ETag of the upload that was published; null if no PDF was."""
    announced: bool = True
    """Whether the end has been announced; always true before the end."""
    last_good: LastGood | None = None

    def with_(self, **changes: Any) -> Record:
        return self.model_copy(update=changes)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")


def now() -> datetime:
    """Returns the current time. The functions below take it as an argument, so that tests can set it."""
    return datetime.now(UTC)


def new_generation() -> str:
    return secrets.token_hex(8)


def new_claim() -> str:
    return secrets.token_hex(16)


def message_of(record: Record, private: Private) -> StartMessage:
    """Returns the job's message; `private` contains the secrets of a private job, which the record does not have."""
    return StartMessage(
        **record.model_dump(include={"id", "generation", "url", "requested_at"}),
        options=record.options,
        private=private,
    )


def create(
    job_id: str, url: str, options: Options, at: datetime, over: Record | None = None, priority: Priority = "normal"
) -> Record:
    """Returns the record of a new generation, in the state `publishing`.

    Args:
        job_id: The id of the job.
        url: The canonical URL.
        options: The options.
        at: The current time.
        over: The record that the new one replaces; its PDF is kept as `last_good`.
        priority: Decides the work queue.
    """
    last_good = over.last_good if over else None
    if over and over.state == "done" and over.report and over.finished_at:
        last_good = LastGood(generation=over.generation, finished_at=over.finished_at, report=over.report)
    return Record(
        id=job_id,
        url=url,
        options=options,
        generation=new_generation(),
        state="publishing",
        priority=priority,
        lease_until=at + PUBLISH_LEASE,
        requested_at=at,
        last_good=last_good,
    )


# ---- what a request does with the record that it finds -------------------------------------------------------------


class Found(Enum):
    """What a request does with the record that it finds."""

    TAKE_OVER = "take over"
    JOIN = "join"
    """The publish of the job was confirmed, and the job is in progress or has a usable end."""
    WAIT = "wait"
    """Another request is publishing the job."""
    FAILED = "failed"
    """The job failed recently; the answer is that failure."""


def look(record: Record, at: datetime, *, again: bool, pdf: bool) -> Found:
    """Decides what a request does that was not a hit.

    A job whose end is not announced yet is not taken over: that would replace the record, and the end would never be
    announced.

    Args:
        record: The job's record.
        at: The current time.
        again: Whether a failed job is rendered again immediately (`max_age` is 0).
        pdf: Whether there is a PDF that is fresh enough for the request.
    """
    unannounced = record.ended and not record.announced and at < record.lease_until + ANNOUNCE_WITHIN
    match record.state:
        case "publishing":
            return Found.WAIT if at < record.lease_until else Found.TAKE_OVER
        case "queued" | "running":
            return Found.JOIN if at < record.lease_until + GRACE else Found.TAKE_OVER
        case "failed":
            return Found.FAILED if unannounced or (not again and at < retry_at(record)) else Found.TAKE_OVER
        case "done":
            return Found.JOIN if unannounced or pdf else Found.TAKE_OVER


def retry_at(record: Record) -> datetime:
    """Returns from when on any request renders a failed job again: immediately if the job never reached the queue."""
    finished = record.finished_at or record.requested_at
    return finished if (record.error or {}).get("code") == "queue_unavailable" else finished + RETRY_AFTER


# ---- what dispatch does with a message and the record that it finds ------------------------------------------------


class Step(Enum):
    """What `dispatch` does with a message of a job."""

    RUN = "run"
    """Take a slot and hand the job over to `render`."""
    PARK = "park"
    """The job is not due before `Decision.until`. Its message is parked, in place of one of an older generation."""
    ANNOUNCE = "announce"
    """The job ended, but its end is not announced."""
    EXHAUST = "exhaust"
    """The job has used all its attempts."""
    OVERDUE = "overdue"
    """The job is older than `Bounds.age`."""
    DROP = "drop"
    """The message belongs to an older generation, a deleted job, or a job whose end is announced."""


@dataclass(frozen=True)
class Decision:
    """A step; `until` is set for `PARK`."""

    step: Step
    until: datetime | None = None


@dataclass(frozen=True)
class Bounds:
    """How often and for how long a job is tried."""

    attempts: int
    age: timedelta
    """Time since the request after which a job that has not ended fails."""


def decide(record: Record | None, generation: str, at: datetime, bounds: Bounds) -> Decision:
    """Decides what `dispatch` does with a delivered message of `generation`.

    If a request has taken the job over and is still publishing, its function may die before the publish. The message of
    the older generation then replaces the one that is missing.
    """
    if record is None:
        return Decision(Step.DROP)
    if record.generation != generation:
        return Decision(Step.PARK, record.lease_until) if record.state == "publishing" else Decision(Step.DROP)
    if record.ended:
        return Decision(Step.DROP if record.announced else Step.ANNOUNCE)
    if record.state == "running" and at < record.lease_until:
        return Decision(Step.PARK, record.lease_until)
    if at >= record.requested_at + bounds.age:
        return Decision(Step.OVERDUE)
    if record.not_before is not None and at + CLOCKS < record.not_before:
        return Decision(Step.PARK, record.not_before)
    return Decision(Step.RUN if record.attempt < bounds.attempts else Step.EXHAUST)


def is_stray(record: Record | None, generation: str) -> bool:
    """Returns whether a published PDF of `generation` must be deleted, because no record says that it is done.

    `settle` publishes a PDF before it writes the end. If the job is deleted or fails in between, a stray PDF is left.
    The PDF of a generation that was done is kept, as `last_good` of the next generation.
    """
    if record is None:
        return True
    if record.generation == generation:
        return record.state == "failed"
    return record.last_good is None or record.last_good.generation != generation


# ---- what settle does with an answer of render and the record that it finds ----------------------------------------


class Settlement(Enum):
    """What `settle` does with the answer for a claim."""

    END = "end"
    """The record is running this claim: end the job, or try it again."""
    RESEND = "resend"
    """The job waits for its next attempt, but its message may not have been published."""
    ANNOUNCE = "announce"
    """The job ended with this claim, but its end is not announced."""
    DROP = "drop"
    """The answer is a duplicate, and nothing is left to do."""
    STRAY = "stray"
    """The claim is obsolete or the job failed: delete what the claim published."""


def settlement(record: Record | None, generation: str, claim: str) -> Settlement:
    """Decides what `settle` does with an answer for `claim` of `generation`."""
    if record is None or record.generation != generation:
        return Settlement.STRAY if is_stray(record, generation) else Settlement.DROP
    if record.claim != claim:
        return Settlement.STRAY
    if record.ended and not record.announced:
        return Settlement.ANNOUNCE
    if record.ended:
        return Settlement.STRAY if is_stray(record, generation) else Settlement.DROP
    if record.state == "running":
        return Settlement.END
    return Settlement.RESEND if record.not_before is not None else Settlement.DROP


# ---- changes -------------------------------------------------------------------------------------------------------


def queued(record: Record, at: datetime) -> Record:
    """Returns the record after the confirmed publish."""
    return record.with_(state="queued", lease_until=at + QUEUE_LEASE)


def unpublished(record: Record, error: UrlshotError, at: datetime) -> Record:
    """Returns the record after a failed publish. The caller gets the error itself, so there is no end to announce."""
    return record.with_(state="failed", finished_at=at, error=error.public())


def running(record: Record, lease: timedelta, at: datetime) -> Record:
    """Returns the record with a new claim, which lasts for `lease` and uses one attempt."""
    return record.with_(
        state="running",
        attempt=record.attempt + 1,
        claim=new_claim(),
        not_before=None,
        started_at=at,
        lease_until=at + lease,
    )


def extended(record: Record, at: datetime) -> Record:
    """Returns the record with a lease that gives `settle` time to end the job."""
    return record.with_(lease_until=at + timedelta(seconds=SETTLE_SECONDS))


def waiting(record: Record, delay: timedelta, at: datetime) -> Record:
    """Returns the record after a failed attempt; the next one is due after `delay`."""
    return record.with_(state="queued", not_before=at + delay, lease_until=at + delay + QUEUE_LEASE)


def unstarted(record: Record, at: datetime) -> Record:
    """Returns the record after an attempt that never started rendering, and so does not count."""
    return record.with_(state="queued", attempt=record.attempt - 1, not_before=None, lease_until=at + QUEUE_LEASE)


def done(record: Record, report: Report, at: datetime, announce: timedelta, upload: str | None = None) -> Record:
    """Returns the record after the PDF was published. The PDF has replaced that of `last_good`, which is removed.

    Args:
        record: The job's record.
        report: The report of the PDF.
        at: The current time.
        announce: The lease for the announcement.
        upload: The ETag of the upload that was published.
    """
    return record.with_(
        state="done",
        finished_at=at,
        report=report,
        upload=upload,
        error=None,
        announced=False,
        last_good=None,
        lease_until=at + announce,
    )


def failed(record: Record, error: dict[str, Any], at: datetime, announce: timedelta) -> Record:
    """Returns the record of a job that failed for good; `announce` is as in `done`."""
    return record.with_(state="failed", finished_at=at, error=error, announced=False, lease_until=at + announce)
