"""The life of a job: every state against whoever comes, and every interleaving that the design names."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot import records
from urlshot.errors import Transient
from urlshot.jobs import Report
from urlshot.options import Options
from urlshot.records import GRACE, RETRY_AFTER, Claim, Found, Record

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REPORT = Report(
    final_url="https://example.com/", status=200, title="", pages=1, bytes=1, sha256="", phases={}, network={},
    chromium="", cold=False,
)  # fmt: skip
UNREACHABLE = {"code": "connection_refused", "retryable": True}


def record(state: records.State = "queued", **changes: object) -> Record:
    made = records.create("a" * 40, "https://example.com/", Options(), NOW)
    finished = NOW if state in ("done", "failed") else None
    return made.with_(state=state, finished_at=finished, lease_until=NOW, **changes)


@pytest.mark.parametrize(
    ("found", "at", "again", "pdf", "expected"),
    [
        # who finds `publishing` waits, or takes over when the lease is out
        (record("publishing"), NOW - SECOND, False, False, Found.WAIT),
        (record("publishing"), NOW - SECOND, True, False, Found.WAIT),
        (record("publishing"), NOW, False, False, Found.TAKE_OVER),
        # who finds `queued` or a living `running` joins; a lease long past is taken over
        (record("queued"), NOW - SECOND, False, False, Found.JOIN),
        (record("queued"), NOW + GRACE - SECOND, False, False, Found.JOIN),
        (record("queued"), NOW + GRACE, False, False, Found.TAKE_OVER),
        (record("running"), NOW - SECOND, True, False, Found.JOIN),
        (record("running"), NOW + GRACE - SECOND, False, False, Found.JOIN),
        (record("running"), NOW + GRACE, False, False, Found.TAKE_OVER),
        # done with its PDF is joined; with none, or one too old, taken over
        (record("done"), NOW, False, True, Found.JOIN),
        (record("done"), NOW, False, False, Found.TAKE_OVER),
        # failed is the answer until its retry time, unless a new render is asked for
        (record("failed", error=UNREACHABLE), NOW, False, False, Found.FAILED),
        (record("failed", error=UNREACHABLE), NOW + RETRY_AFTER - SECOND, False, False, Found.FAILED),
        (record("failed", error=UNREACHABLE), NOW + RETRY_AFTER, False, False, Found.TAKE_OVER),
        (record("failed", error=UNREACHABLE), NOW, True, False, Found.TAKE_OVER),
        # what never reached the queue is tried again at once
        (record("failed", error={"code": "queue_unavailable"}), NOW, False, False, Found.TAKE_OVER),
    ],
)
def test_what_a_request_makes_of_a_record(found: Record, at: datetime, again: bool, pdf: bool, expected: Found) -> None:
    assert records.look(found, at, again=again, pdf=pdf) is expected


@pytest.mark.parametrize(
    ("found", "mine", "at", "expected"),
    [
        # a message can overtake its own record, and claims while it says `publishing`, lease or no lease
        (record("publishing"), True, NOW - SECOND, Claim.RUN),
        (record("publishing"), True, NOW + SECOND, Claim.RUN),
        (record("queued"), True, NOW, Claim.RUN),
        (record("queued", attempt=2), True, NOW, Claim.RUN),
        # attempts used up, found by whoever would make one more
        (record("queued", attempt=3), True, NOW, Claim.EXHAUST),
        (record("running", attempt=3), True, NOW, Claim.EXHAUST),
        # same generation and a living lease: a duplicate delivery is parked; with the lease out it is the next attempt
        (record("running", attempt=1), True, NOW - SECOND, Claim.PARK),
        (record("running", attempt=3), True, NOW - SECOND, Claim.PARK),
        (record("running", attempt=1), True, NOW, Claim.RUN),
        # a crash between the end and its announcement
        (record("done", announced=False), True, NOW, Claim.ANNOUNCE),
        (record("failed", announced=False), True, NOW, Claim.ANNOUNCE),
        # a duplicate of what was told, and what the api gave up as not confirmed though the message had gone out
        (record("done", announced=True), True, NOW, Claim.DROP),
        (record("failed", announced=True), True, NOW, Claim.DROP),
        # an older generation, whatever the state
        *[(record(state), False, NOW, Claim.DROP) for state in ("publishing", "queued", "running", "done", "failed")],
        (record("done", announced=False), False, NOW, Claim.DROP),
    ],
)
def test_what_dispatch_makes_of_a_record(found: Record, mine: bool, at: datetime, expected: Claim) -> None:
    generation = found.generation if mine else "0" * 16
    assert records.claim(found, generation, at, max_attempts=3) is expected


def test_a_deleted_job_is_dropped() -> None:
    assert records.claim(None, "0" * 16, NOW, 3) is Claim.DROP


def test_every_takeover_is_a_new_generation_with_nothing_of_the_old_but_its_pdf() -> None:
    old = records.done(records.running(record("queued"), SECOND, NOW), REPORT, NOW + SECOND)
    new = records.create(old.id, old.url, old.options, NOW + 2 * SECOND, over=old)
    assert new.generation != old.generation
    assert (new.state, new.attempt, new.report, new.error, new.finished_at) == ("publishing", 0, None, None, None)
    assert new.last_good is not None
    assert (new.last_good.generation, new.last_good.report) == (old.generation, REPORT)


def test_a_failed_rerender_does_not_hide_the_older_pdf() -> None:
    good = records.done(record("running"), REPORT, NOW)
    failed = records.failed(records.create(good.id, good.url, good.options, NOW, over=good), UNREACHABLE, NOW)
    third = records.create(good.id, good.url, good.options, NOW, over=failed)
    assert third.last_good is not None
    assert third.last_good.generation == good.generation
    # and when it is made at last, its own PDF stands in that one's place
    assert records.done(third, REPORT, NOW).last_good is None


def test_an_attempt_is_spent_by_the_claim_and_given_back_by_throttling() -> None:
    claimed = records.running(record("queued"), SECOND, NOW)
    assert claimed.attempt == 1
    assert records.waiting(claimed, SECOND, NOW, spent=True).attempt == 1
    assert records.waiting(claimed, SECOND, NOW, spent=False).attempt == 0


def test_a_publish_that_was_not_confirmed_says_so_and_leaves_nothing_to_announce() -> None:
    failed = records.unpublished(record("publishing"), Transient("queue_unavailable"), NOW)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "queue_unavailable"
    assert failed.announced


@given(
    st.sampled_from(["publishing", "queued", "running", "done", "failed"]),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
def test_a_record_comes_back_from_json_as_it_went(
    state: records.State, attempt: int, announced: bool, older: bool
) -> None:
    made = record(state, attempt=attempt, announced=announced)
    if older:
        made = made.with_(last_good=records.LastGood(generation="x", finished_at=NOW, report=REPORT))
    assert Record.model_validate_json(made.model_dump_json(exclude_none=True)) == made
