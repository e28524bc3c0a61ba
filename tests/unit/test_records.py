"""Each step decides by the record of a job; tables show the decision for each state."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core import records
from urlshot.core.errors import Transient
from urlshot.core.options import Options
from urlshot.core.private import Private
from urlshot.core.records import (
    ANNOUNCE_WITHIN,
    GRACE,
    RETRY_AFTER,
    Bounds,
    Decision,
    Found,
    LastGood,
    Record,
    Settlement,
    Step,
)
from urlshot.core.render_contract import Report

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=195)
BOUNDS = Bounds(attempts=3, age=timedelta(hours=24))
REPORT = Report(
    final_url="https://example.com/", status=200, title="", pages=1, bytes=1, sha256="", phases={}, network={},
    chromium="", cold=False,
)  # fmt: skip
UNREACHABLE = {"code": "connection_refused", "retryable": True}
CLAIM = "c" * 32
STATES: tuple[records.State, ...] = ("publishing", "queued", "running", "done", "failed")


def record(state: records.State = "queued", **changes: object) -> Record:
    made = records.create("a" * 40, "https://example.com/", Options(), NOW)
    finished = NOW if state in ("done", "failed") else None
    return made.with_(**{"state": state, "finished_at": finished, "lease_until": NOW, "claim": CLAIM, **changes})


def last_good(generation: str) -> LastGood:
    return LastGood(generation=generation, finished_at=NOW, report=REPORT)


@pytest.mark.parametrize(
    ("found", "at", "again", "pdf", "expected"),
    [
        # a request waits for `publishing` until its lease is over
        (record("publishing"), NOW - SECOND, False, False, Found.WAIT),
        (record("publishing"), NOW - SECOND, True, False, Found.WAIT),
        (record("publishing"), NOW, False, False, Found.TAKE_OVER),
        # a request joins `queued` and `running` until `GRACE` after their lease
        (record("queued"), NOW - SECOND, False, False, Found.JOIN),
        (record("queued"), NOW + GRACE - SECOND, False, False, Found.JOIN),
        (record("queued"), NOW + GRACE, False, False, Found.TAKE_OVER),
        (record("running"), NOW - SECOND, True, False, Found.JOIN),
        (record("running"), NOW + GRACE - SECOND, False, False, Found.JOIN),
        (record("running"), NOW + GRACE, False, False, Found.TAKE_OVER),
        # a request joins `done` if the PDF is fresh enough, and takes it over otherwise
        (record("done"), NOW, False, True, Found.JOIN),
        (record("done"), NOW, False, False, Found.TAKE_OVER),
        # `failed` is the answer until its retry time, unless the request asks for a new render
        (record("failed", error=UNREACHABLE), NOW, False, False, Found.FAILED),
        (record("failed", error=UNREACHABLE), NOW + RETRY_AFTER - SECOND, False, False, Found.FAILED),
        (record("failed", error=UNREACHABLE), NOW + RETRY_AFTER, False, False, Found.TAKE_OVER),
        (record("failed", error=UNREACHABLE), NOW, True, False, Found.TAKE_OVER),
        # a job that never reached the queue is tried again immediately
        (record("failed", error={"code": "queue_unavailable"}), NOW, False, False, Found.TAKE_OVER),
        # a request does not take over an unannounced end before `ANNOUNCE_WITHIN`
        (record("done", announced=False), NOW + ANNOUNCE_WITHIN - SECOND, True, False, Found.JOIN),
        (record("done", announced=False), NOW + ANNOUNCE_WITHIN, True, False, Found.TAKE_OVER),
        (record("failed", announced=False, error=UNREACHABLE), NOW + GRACE, True, False, Found.FAILED),
        (record("failed", announced=False, error=UNREACHABLE), NOW + ANNOUNCE_WITHIN, True, False, Found.TAKE_OVER),
    ],
)
def test_request_decides_by_the_record(found: Record, at: datetime, again: bool, pdf: bool, expected: Found) -> None:
    assert records.look(found, at, again=again, pdf=pdf) is expected


@pytest.mark.parametrize(
    ("found", "at", "expected"),
    [
        # a message can be faster than the change to `queued`
        (record("publishing"), NOW - SECOND, Step.RUN),
        (record("publishing"), NOW + SECOND, Step.RUN),
        (record("queued"), NOW, Step.RUN),
        (record("queued", attempt=2), NOW, Step.RUN),
        # the attempts are used up
        (record("queued", attempt=3), NOW, Step.EXHAUST),
        (record("running", attempt=3), NOW, Step.EXHAUST),
        # within the lease a duplicate is parked; after it, the message is the next attempt
        (record("running", attempt=1), NOW - SECOND, Step.PARK),
        (record("running", attempt=3), NOW - SECOND, Step.PARK),
        (record("running", attempt=1), NOW, Step.RUN),
        # the message of a job that waits for its next attempt is parked until then; clocks may differ a little
        (record("queued", attempt=1, not_before=NOW + 5 * SECOND), NOW, Step.PARK),
        (record("queued", attempt=1, not_before=NOW + SECOND), NOW, Step.RUN),
        (record("queued", attempt=1, not_before=NOW), NOW, Step.RUN),
        # a job that did not end within a day fails, unless the lease of a claim runs
        (record("queued"), NOW + timedelta(hours=24), Step.OVERDUE),
        (record("queued"), NOW + timedelta(hours=24) - SECOND, Step.RUN),
        (record("queued", attempt=3), NOW + timedelta(hours=24), Step.OVERDUE),
        (record("running", lease_until=NOW + timedelta(hours=25)), NOW + timedelta(hours=24), Step.PARK),
        (record("running"), NOW + timedelta(hours=24), Step.OVERDUE),
        # the function that ended the job died before the announcement
        (record("done", announced=False), NOW, Step.ANNOUNCE),
        (record("failed", announced=False), NOW, Step.ANNOUNCE),
        (record("done", announced=True), NOW, Step.DROP),
        (record("failed", announced=True), NOW, Step.DROP),
    ],
)
def test_dispatch_decides_by_the_record(found: Record, at: datetime, expected: Step) -> None:
    assert records.decide(found, found.generation, at, BOUNDS).step is expected


@pytest.mark.parametrize(
    ("found", "until"),
    [
        (record("running", lease_until=NOW + 9 * SECOND), NOW + 9 * SECOND),
        (record("queued", not_before=NOW + 7 * SECOND), NOW + 7 * SECOND),
    ],
)
def test_parked_message_knows_when_it_is_due(found: Record, until: datetime) -> None:
    assert records.decide(found, found.generation, NOW, BOUNDS).until == until


@pytest.mark.parametrize("state", [state for state in STATES if state != "publishing"])
@pytest.mark.parametrize("announced", [True, False])
def test_message_of_an_older_generation_is_dropped(state: records.State, announced: bool) -> None:
    assert records.decide(record(state, announced=announced), "0" * 16, NOW, BOUNDS).step is Step.DROP


def test_message_of_an_older_generation_waits_for_the_publish_of_the_newer() -> None:
    newer = record("publishing", lease_until=NOW + 9 * SECOND)
    assert records.decide(newer, "0" * 16, NOW, BOUNDS) == Decision(Step.PARK, NOW + 9 * SECOND)


def test_message_of_a_deleted_job_is_dropped() -> None:
    assert records.decide(None, "0" * 16, NOW, BOUNDS).step is Step.DROP


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record("running"), Settlement.END),
        (record("running", lease_until=NOW - timedelta(hours=1)), Settlement.END),
        # settle died between the record and the message of the next attempt
        (record("queued", not_before=NOW), Settlement.RESEND),
        # render never started; the parked message continues the job
        (record("queued"), Settlement.DROP),
        (record("done", announced=False), Settlement.ANNOUNCE),
        (record("failed", announced=False), Settlement.ANNOUNCE),
        (record("done"), Settlement.DROP),
        (record("failed"), Settlement.STRAY),  # a second run of the claim may have published a PDF since
        # the answer of an older claim, in every state of the newer one
        *[(record(state, claim="d" * 32), Settlement.STRAY) for state in STATES],
        (None, Settlement.STRAY),
    ],
)
def test_settle_decides_by_the_record(found: Record | None, expected: Settlement) -> None:
    generation = found.generation if found else "0" * 16
    assert records.settlement(found, generation, CLAIM) is expected


@pytest.mark.parametrize("state", STATES)
def test_answer_of_an_older_generation_is_stray_unless_its_pdf_is_kept(state: records.State) -> None:
    assert records.settlement(record(state), "0" * 16, CLAIM) is Settlement.STRAY
    assert records.settlement(record(state, last_good=last_good("1" * 16)), "0" * 16, CLAIM) is Settlement.STRAY
    assert records.settlement(record(state, last_good=last_good("0" * 16)), "0" * 16, CLAIM) is Settlement.DROP


def test_pdf_of_the_own_generation_is_never_stray() -> None:
    own = record("running")
    assert not records.is_stray(own, own.generation)
    assert records.is_stray(None, own.generation)


def test_takeover_keeps_nothing_of_the_old_generation_but_its_pdf() -> None:
    old = records.done(records.running(record("queued"), LEASE, NOW), REPORT, NOW + SECOND, LEASE)
    new = records.create(old.id, old.url, old.options, NOW + 2 * SECOND, over=old)
    assert new.generation != old.generation
    assert (new.state, new.attempt, new.claim, new.report, new.error) == ("publishing", 0, "", None, None)
    assert (new.started_at, new.finished_at, new.not_before, new.announced) == (None, None, None, True)
    assert new.last_good is not None
    assert (new.last_good.generation, new.last_good.report) == (old.generation, REPORT)


def test_failed_rerender_does_not_hide_the_older_pdf() -> None:
    good = records.done(record("running"), REPORT, NOW, LEASE)
    failed = records.failed(records.create(good.id, good.url, good.options, NOW, over=good), UNREACHABLE, NOW, LEASE)
    third = records.create(good.id, good.url, good.options, NOW, over=failed)
    assert third.last_good is not None
    assert third.last_good.generation == good.generation
    # when it is done, its own PDF replaces the older one
    assert records.done(third, REPORT, NOW, LEASE).last_good is None


def test_claim_uses_an_attempt_unless_its_render_never_started() -> None:
    claimed = records.running(record("queued", not_before=NOW), LEASE, NOW)
    assert (claimed.attempt, claimed.not_before, claimed.lease_until) == (1, None, NOW + LEASE)
    assert records.waiting(claimed, SECOND, NOW).attempt == 1
    assert records.unstarted(claimed, NOW).attempt == 0


def test_every_claim_has_a_new_value() -> None:
    first = records.running(record("queued"), LEASE, NOW)
    assert records.running(first, LEASE, NOW + LEASE).claim not in ("", first.claim)


def test_job_that_waits_keeps_its_claim_so_that_a_repeated_answer_finds_it() -> None:
    claimed = records.running(record("queued"), LEASE, NOW)
    waiting = records.waiting(claimed, 5 * SECOND, NOW)
    assert (waiting.state, waiting.claim, waiting.not_before) == ("queued", claimed.claim, NOW + 5 * SECOND)


def test_record_contains_only_the_options_that_differ() -> None:
    for options, stored in ((Options(), {}), (Options(scale=2.0, hide=("nav",)), {"scale": 2.0, "hide": ["nav"]})):
        made = record(options=options)
        body = made.model_dump_json(exclude_none=True)
        assert json.loads(body)["options"] == stored
        assert Record.model_validate_json(body) == made


def test_record_with_all_options_is_read_as_before() -> None:
    made = record()
    full = {**json.loads(made.model_dump_json()), "options": Options().model_dump(mode="json")}
    assert Record.model_validate_json(json.dumps(full)) == made


def test_done_record_names_its_upload() -> None:
    assert records.done(record(), REPORT, NOW, LEASE, '"etag"').upload == '"etag"'


def test_end_leaves_time_for_its_announcement() -> None:
    for ended in (records.done(record(), REPORT, NOW, LEASE), records.failed(record(), UNREACHABLE, NOW, LEASE)):
        assert (ended.announced, ended.lease_until) == (False, NOW + LEASE)


def test_unconfirmed_publish_leaves_nothing_to_announce() -> None:
    failed = records.unpublished(record("publishing"), Transient("queue_unavailable"), NOW)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "queue_unavailable"
    assert failed.announced


def test_message_holds_the_private_part_that_the_record_does_not() -> None:
    private = Private.model_validate({"headers": {"x-key": "secret"}})
    made = record()
    message = records.message_of(made, private)
    assert (message.id, message.generation, message.private) == (made.id, made.generation, private)
    assert b"secret" in message.body()
    assert "secret" not in made.model_dump_json()


@given(st.sampled_from(STATES), st.integers(0, 5), st.booleans(), st.booleans(), st.booleans())
def test_record_survives_json(state: records.State, attempt: int, announced: bool, older: bool, waits: bool) -> None:
    made = record(
        state,
        attempt=attempt,
        announced=announced,
        last_good=last_good("x") if older else None,
        not_before=NOW if waits else None,
    )
    assert Record.model_validate_json(made.model_dump_json(exclude_none=True)) == made
