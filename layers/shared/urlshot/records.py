"""A job's record and its changes: pure functions, so that every interleaving can be a row of a table.

    (nothing) ──create──▶ publishing ──confirmed──▶ queued ──claim──▶ running ──settle──▶ done | failed
                              │                       ▲                  │
                              └──not confirmed──▶ failed                 │ to be tried again
                                                      └──────────────────┘
    done without its PDF, too old or unwanted │ failed, past its retry time │ a lease over ──take over──▶ publishing

A generation is one life of a job: every create and every takeover draws a new one. A claim is one attempt to render it:
every hand-over to `render` draws a new one. Both travel with the job, and every step checks them against the record, so
that a late or repeated step of an older life or attempt changes nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from urlshot.errors import UrlshotError
from urlshot.jobs import Report
from urlshot.lease import SETTLE_SECONDS
from urlshot.messages import Priority, StartMessage
from urlshot.options import Options
from urlshot.private import Private

PUBLISH_LEASE = timedelta(seconds=15)
"""How long a publisher may take to have its message confirmed, before another takes the job over."""

QUEUE_LEASE = timedelta(hours=1)
"""How long a job may lie in the queue before a request takes it over."""

GRACE = timedelta(seconds=60)
"""How long past a lease a request waits before it takes the job over: dispatch finds the end of the lease first."""

ANNOUNCE_WITHIN = timedelta(hours=24)
"""How long an end that is not announced is not taken over. A message of the job is on the broker until its end is
announced; the limit is for a message that an operator has deleted."""

RETRY_AFTER = timedelta(seconds=60)
"""How long a failed job is not rendered again just because a request asks for it."""

CLOCKS = timedelta(seconds=1)
"""How much two functions' clocks may differ."""

State = Literal["publishing", "queued", "running", "done", "failed"]


class LastGood(BaseModel):
    """The published PDF, when it is not of the record's own generation."""

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
    priority: Priority = "normal"
    """Which work queue its message is in."""
    attempt: int = 0
    claim: str = ""
    """The newest claim; empty before the first."""
    not_before: datetime | None = None
    """When a job that is to be tried again is due."""
    lease_until: datetime
    """Until when the job belongs to its publisher, its queue or its claim; of an ended job, until when its end may be
    announced before a request takes it over."""
    requested_at: datetime
    started_at: datetime | None = None
    """When the newest claim was made."""
    finished_at: datetime | None = None
    error: dict[str, Any] | None = None
    report: Report | None = None
    announced: bool = True
    last_good: LastGood | None = None

    def with_(self, **changes: Any) -> Record:
        return self.model_copy(update=changes)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")


def now() -> datetime:
    """Returns the time; callers pass it on, so that tests can set it."""
    return datetime.now(UTC)


def new_generation() -> str:
    return secrets.token_hex(8)


def new_claim() -> str:
    return secrets.token_hex(16)


def message_of(record: Record, private: Private) -> StartMessage:
    """Returns the job's message; `private` is what only the message holds of a private job."""
    return StartMessage(
        **record.model_dump(include={"id", "generation", "url", "requested_at"}),
        options=record.options,
        private=private,
    )


def create(
    job_id: str, url: str, options: Options, at: datetime, over: Record | None = None, priority: Priority = "normal"
) -> Record:
    """Starts a new generation, `publishing`. It keeps the PDF of the generation before it, `over`, as `last_good`."""
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
    """The job is under way on the strength of a confirmed publish, or its end is."""
    WAIT = "wait"
    """Another request is publishing it at this moment."""
    FAILED = "failed"
    """It failed a short while ago; the answer is that failure."""


def look(record: Record, at: datetime, *, again: bool, pdf: bool) -> Found:
    """Decides for a request that was no hit.

    `again` says that the request wants a failed job rendered again at once (`max_age` is 0); `pdf` says that there is a
    PDF that is fresh enough for the request.

    An end that is not announced yet is not taken over: a takeover would replace the record, and the end would never be
    announced.
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
    """When any request has a failed job rendered again; at once if the job never reached the queue."""
    finished = record.finished_at or record.requested_at
    return finished if (record.error or {}).get("code") == "queue_unavailable" else finished + RETRY_AFTER


# ---- what dispatch does with a message and the record that it finds ------------------------------------------------


class Step(Enum):
    """What `dispatch` does with a message of ours."""

    RUN = "run"
    PARK = "park"
    """It is not due before `Decision.until`."""
    ANNOUNCE = "announce"
    """The job ended, and the function that ended it did not finish the announcement."""
    EXHAUST = "exhaust"
    """Its attempts are used up."""
    OVERDUE = "overdue"
    """It has waited for too long."""
    DROP = "drop"
    """An older generation, a deleted job, or a duplicate of one that ended and was announced."""


@dataclass(frozen=True)
class Decision:
    step: Step
    until: datetime | None = None


@dataclass(frozen=True)
class Bounds:
    """How often and how long a job is tried."""

    attempts: int
    age: timedelta
    """From the request; a job that has not ended by then fails."""


def decide(record: Record | None, generation: str, at: datetime, bounds: Bounds) -> Decision:
    """Decides what to do with a delivered message of `generation`."""
    if record is None or record.generation != generation:
        return Decision(Step.DROP)
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
    """Says whether a published PDF of `generation` has no end in the record, and may not stay.

    A PDF is published before its end is written, so a job that is deleted or fails in between leaves one. The PDF of a
    generation that was done stays as the last good one of the next.
    """
    if record is None:
        return True
    if record.generation == generation:
        return record.state == "failed"
    return record.last_good is None or record.last_good.generation != generation


# ---- what settle does with an answer of render and the record that it finds ----------------------------------------


class Settlement(Enum):
    """What `settle` does with what came back for a claim."""

    END = "end"
    """The claim is the record's own and under way: end the job, or have it tried again."""
    RESEND = "resend"
    """The job waits for its next attempt; its message may not have been published."""
    ANNOUNCE = "announce"
    """The job ended with this claim, and is not announced."""
    DROP = "drop"
    """All was done before: the answer comes again."""
    STRAY = "stray"
    """The record no longer names this claim, or the job failed: nothing that the claim published may stay."""


def settlement(record: Record | None, generation: str, claim: str) -> Settlement:
    """Decides what to do with an answer for `claim` of `generation`."""
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
    """The publish was confirmed."""
    return record.with_(state="queued", lease_until=at + QUEUE_LEASE)


def unpublished(record: Record, error: UrlshotError, at: datetime) -> Record:
    """The publish was not confirmed. The caller gets the error at once, so nothing is left to announce."""
    return record.with_(state="failed", finished_at=at, error=error.public())


def running(record: Record, lease: timedelta, at: datetime) -> Record:
    """A new claim, which lasts for `lease` and uses one attempt."""
    return record.with_(
        state="running",
        attempt=record.attempt + 1,
        claim=new_claim(),
        not_before=None,
        started_at=at,
        lease_until=at + lease,
    )


def extended(record: Record, at: datetime) -> Record:
    """The claim lasts until `settle` has ended the job, where the lease would be over before."""
    return record.with_(lease_until=at + timedelta(seconds=SETTLE_SECONDS))


def waiting(record: Record, delay: timedelta, at: datetime) -> Record:
    """The attempt failed; the next one is due after `delay`."""
    return record.with_(state="queued", not_before=at + delay, lease_until=at + delay + QUEUE_LEASE)


def unstarted(record: Record, at: datetime) -> Record:
    """The page was not rendered at all: the attempt is given back."""
    return record.with_(state="queued", attempt=record.attempt - 1, not_before=None, lease_until=at + QUEUE_LEASE)


def done(record: Record, report: Report, at: datetime, announce: timedelta) -> Record:
    """The PDF is published. `last_good` goes, because this generation's PDF has replaced that one.

    `announce` is how long the announcement may take before a request takes the job over.
    """
    return record.with_(
        state="done",
        finished_at=at,
        report=report,
        error=None,
        announced=False,
        last_good=None,
        lease_until=at + announce,
    )


def failed(record: Record, error: dict[str, Any], at: datetime, announce: timedelta) -> Record:
    """The job failed for good; `announce` is as with `done`."""
    return record.with_(state="failed", finished_at=at, error=error, announced=False, lease_until=at + announce)
