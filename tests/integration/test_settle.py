"""Tests settle from Lambda's record of a render to the announcement, on RabbitMQ and moto's S3 and EventBridge."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from tests.integration.conftest import DELAYS, LEASE, Broker
from tests.integration.workbench import ID, URL, Bench, killed, never_started, record_of
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Transient, UrlshotError
from urlshot.core.messages import DEAD, QUEUE, QUEUE_BULK, delay_queue
from urlshot.core.options import Options
from urlshot.core.render_contract import RenderJob, Report

LEASED = timedelta(seconds=LEASE)


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    return Bench(store, broker)


def handed_over(bench: Bench) -> RenderJob:
    """Queues a job, hands it over, and removes its parked message."""
    assert bench.dispatch(bench.queue_job()) == ["handed over"]
    bench.waiting()
    return bench.jobs[-1]


def test_report_publishes_the_pdf_and_ends_the_job(bench: Bench, report: Report) -> None:
    job = handed_over(bench)
    event = bench.rendered(job, report, b"%PDF-1.7 whole")
    bench.now += timedelta(seconds=2)
    assert bench.settle(event) == "done"
    record = bench.record()
    assert (record.state, record.attempt, record.announced) == ("done", 1, True)
    assert record.report is not None
    assert record.report.sha256 == hashlib.sha256(bench.pdf() or b"").hexdigest()
    pdf = bench.store.head_pdf(ID)
    assert pdf is not None
    assert (pdf.generation, pdf.claim) == (record.generation, record.claim)
    assert bench.slots_free() == bench.renders
    [sent] = bench.events()
    detail = sent["detail"]
    assert (sent["source"], sent["detail-type"]) == ("urlshot", "ShotCompleted")
    assert detail["event_key"] == f"{ID}:{record.generation}:done"
    assert (detail["key"], detail["attempts"], detail["cached"]) == (f"pdf/{ID}.pdf", 1, False)
    assert (detail["queue_seconds"], detail["render_seconds"]) == (0.0, 2.0)
    assert bench.completions() == [detail]
    assert bench.waiting() == []


def test_completion_carries_the_correlation_id_of_the_request(bench: Bench, report: Report) -> None:
    job = handed_over(bench).model_copy(update={"correlation_id": "theirs"})
    bench.settle(bench.rendered(job, report))
    [completion] = bench.broker.take(bench._completions)
    assert completion.properties["correlation_id"] == "theirs"


@pytest.mark.parametrize("code", ["page_status", "blocked_target", "too_large"])
def test_permanent_error_fails_the_job_immediately(bench: Bench, code: str) -> None:
    assert bench.settle(bench.rendered(handed_over(bench), UrlshotError(code, "Why."))) == "failed"
    record = bench.record()
    assert (record.state, record.attempt, record.announced) == ("failed", 1, True)
    [event] = bench.events()
    assert event["detail-type"] == "ShotFailed"
    assert (event["detail"]["error"]["code"], event["detail"]["key"]) == (code, None)
    assert bench.completions() == [event["detail"]]
    assert bench.broker.take(DEAD) == []


def test_retryable_error_is_retried_after_increasing_delays(bench: Bench) -> None:
    delivery = bench.queue_job()
    for attempt, seconds in ((1, DELAYS[0]), (2, DELAYS[1])):
        assert bench.dispatch(delivery) == ["handed over"]
        bench.waiting()
        assert bench.settle(bench.rendered(bench.jobs[-1], Transient("connection_refused", "Refused."))) == "retried"
        record = bench.record()
        assert (record.state, record.attempt) == ("queued", attempt)
        assert record.not_before == bench.now + timedelta(seconds=seconds)
        assert bench.slots_free() == bench.renders
        delivery = bench.next(delay_queue(QUEUE, seconds))
        bench.now += timedelta(seconds=seconds)
    assert bench.events() == []
    assert bench.dispatch(delivery) == ["handed over"]
    assert bench.settle(bench.rendered(bench.jobs[-1], Transient("connection_refused", "Refused."))) == "failed"
    assert bench.record().attempt == 3
    [event] = bench.events()
    assert event["detail"]["error"]["code"] == "connection_refused"
    [dead] = bench.broker.take(DEAD)
    # The dead letter is a bare message, so that moving it back to the work queue requests the job again.
    assert json.loads(dead.body) == {"url": URL, "options": {}}
    assert json.loads(dead.headers["reason"])["code"] == "connection_refused"


def test_retry_of_a_bulk_job_goes_to_the_bulk_queue(bench: Bench) -> None:
    job = handed_over(bench)
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(found[0].with_(priority="bulk"), found[1])
    assert bench.settle(killed(job)) == "retried"
    assert bench.next(delay_queue(QUEUE_BULK, DELAYS[0]))


def test_second_attempt_may_succeed(bench: Bench, report: Report) -> None:
    assert bench.settle(killed(handed_over(bench))) == "retried"
    bench.now += timedelta(seconds=DELAYS[0])
    assert bench.dispatch(bench.next(delay_queue(QUEUE, DELAYS[0]))) == ["handed over"]
    assert bench.settle(bench.rendered(bench.jobs[-1], report)) == "done"
    assert bench.record().attempt == 2


def test_render_that_never_started_uses_no_attempt_and_no_new_message(bench: Bench) -> None:
    assert bench.dispatch(bench.queue_job()) == ["handed over"]
    assert bench.settle(never_started(bench.jobs[0])) == "not started"
    record = bench.record()
    assert (record.state, record.attempt, record.not_before) == ("queued", 0, None)
    assert bench.slots_free() == bench.renders
    parked = bench.next(delay_queue(QUEUE, LEASE))
    assert bench.waiting() == []
    assert bench.dispatch(parked) == ["handed over"]


# ---- results that come twice, late, or for another claim -----------------------------------------------------------


def test_repeated_result_changes_nothing(bench: Bench, report: Report) -> None:
    event = bench.rendered(handed_over(bench), report)
    assert [bench.settle(event) for _ in range(3)] == ["done", "dropped", "dropped"]
    assert len(bench.events()) == 1
    assert bench.pdf() is not None


def test_repeated_failure_publishes_its_retry_again_but_uses_no_attempt(bench: Bench) -> None:
    """Settle cannot know whether an earlier run died before it published the retry."""
    event = killed(handed_over(bench))
    assert [bench.settle(event) for _ in range(2)] == ["retried", "retried"]
    assert bench.record().attempt == 1
    first, second = bench.waiting(delay_queue(QUEUE, DELAYS[0]))
    bench.now += timedelta(seconds=DELAYS[0])
    assert bench.dispatch(first) == ["handed over"]
    assert bench.dispatch(second) == ["parked"]


def test_late_result_of_the_newest_claim_still_ends_the_job(bench: Bench, report: Report) -> None:
    event = bench.rendered(handed_over(bench), report)
    bench.now += 2 * LEASED
    assert bench.settle(event) == "done"


def test_result_of_an_older_claim_is_dropped(bench: Bench, report: Report) -> None:
    assert bench.dispatch(bench.queue_job()) == ["handed over"]
    older = bench.rendered(bench.jobs[0], report, b"%PDF older")
    bench.now += LEASED
    assert bench.dispatch(bench.next(delay_queue(QUEUE, LEASE))) == ["handed over"]
    assert bench.settle(older) == "dropped"
    assert (bench.record().state, bench.pdf(), bench.events()) == ("running", None, [])
    assert bench.settle(bench.rendered(bench.jobs[1], report, b"%PDF newer")) == "done"
    assert bench.settle(older) == "dropped"
    assert bench.pdf() == b"%PDF newer"


def test_result_of_an_older_generation_is_dropped_and_its_pdf_stays(bench: Bench, report: Report) -> None:
    event = bench.rendered(handed_over(bench), report)
    assert bench.settle(event) == "done"
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(records.create(ID, URL, Options(), bench.now, over=found[0]), found[1])
    assert bench.settle(event) == "dropped"
    assert bench.record().state == "publishing"
    assert bench.pdf() is not None


def test_forged_claim_changes_nothing(bench: Bench, report: Report) -> None:
    """A compromised render can invoke settle, but it knows only its own claim."""
    job = handed_over(bench)
    assert job.slot is not None
    forged = job.model_copy(
        update={"claim": "f" * 32, "slot": job.slot.model_copy(update={"etag": '"0123456789abcdef"'})}
    )
    assert bench.settle(bench.rendered(forged, report)) == "dropped"
    assert bench.settle(killed(forged)) == "dropped"
    assert (bench.record().state, bench.pdf()) == ("running", None)
    assert bench.slots_free() == bench.renders - 1


def test_run_that_replaced_the_upload_ends_the_job(bench: Bench, report: Report) -> None:
    """Lambda may run an event twice; settle publishes only the PDF that the report describes."""
    job = handed_over(bench)
    first = bench.rendered(job, report, b"%PDF first")
    second = bench.rendered(job, report, b"%PDF second")
    assert bench.settle(first) == "dropped"
    assert (bench.record().state, bench.pdf()) == ("running", None)
    assert bench.settle(second) == "done"
    assert bench.pdf() == b"%PDF second"


def test_run_that_published_ends_the_job_after_its_upload_was_replaced(bench: Bench, report: Report) -> None:
    """Settle dies before it ends the job, and meanwhile a second run of the event replaces the upload."""
    job = handed_over(bench)
    first = bench.rendered(job, report, b"%PDF-1.7 first")

    class Killed(BaseException):
        """The function dies here."""

    class Dying:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._part, name)

        def change(self, *_: Any) -> None:
            raise Killed

    with pytest.raises(Killed):
        bench.settle(first, lambda part: Dying(part) if isinstance(part, Store) else part)
    second = bench.rendered(job, report, b"%PDF-1.7 second")
    assert bench.settle(second) == "dropped"
    assert bench.settle(first) == "done"
    record = bench.record()
    assert record.report is not None
    assert (bench.pdf(), record.attempt) == (b"%PDF-1.7 first", 1)
    assert record.report.sha256 == hashlib.sha256(b"%PDF-1.7 first").hexdigest()


def test_report_without_an_upload_is_retried(bench: Bench, report: Report) -> None:
    job = handed_over(bench)
    event = bench.rendered(job, report)
    boto3.client("s3").delete_object(Bucket=bench.store.bucket, Key=f"upload/{ID}/{job.claim}.pdf")
    assert bench.settle(event) == "retried"
    assert bench.pdf() is None


@pytest.mark.parametrize("asked_again", [False, True])
def test_deleted_job_stays_deleted(bench: Bench, report: Report, asked_again: bool) -> None:
    event = bench.rendered(handed_over(bench), report)
    bench.delete()
    if asked_again:
        bench.queue_job()
    assert bench.settle(event) == "dropped"
    assert (bench.pdf(), bench.events()) == (None, [])
    assert bench.slots_free() == bench.renders


def test_job_deleted_while_its_pdf_is_published_stays_deleted(bench: Bench, report: Report) -> None:
    event = bench.rendered(handed_over(bench), report)

    class Deleting:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, name: str) -> Any:
            return getattr(self._part, name)

        def publish_pdf(self, *arguments: Any) -> None:
            bench.delete()
            self._part.publish_pdf(*arguments)

    wrap = lambda part: Deleting(part) if isinstance(part, Store) else part  # noqa: E731
    assert bench.settle(event, wrap) == "dropped"
    assert (bench.pdf(), bench.events()) == (None, [])


@pytest.mark.parametrize("outcome", ["report", "killed", "never started"])
def test_secrets_are_in_no_record_event_or_dead_letter(bench: Bench, report: Report, outcome: str) -> None:
    job = handed_over(bench)
    private = {"headers": {"x-tenant": "s3cr3t"}}
    job = RenderJob.model_validate({**job.model_dump(mode="json"), "private": private})
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(found[0].with_(attempt=3), found[1])
    event = {"report": lambda: bench.rendered(job, report), "killed": lambda: killed(job)}.get(
        outcome, lambda: never_started(job)
    )()
    bench.settle(event)
    kept = bench.record().model_dump_json() + json.dumps([bench.events(), bench.completions()])
    kept += "".join(str(message.body) for message in bench.broker.take(DEAD))
    assert "s3cr3t" not in kept


def test_retry_of_a_private_job_keeps_its_secrets_in_the_message(bench: Bench) -> None:
    job = RenderJob.model_validate(
        {**handed_over(bench).model_dump(mode="json"), "private": {"headers": {"x-tenant": "s3cr3t"}}}
    )
    assert bench.settle(killed(job)) == "retried"
    assert b"s3cr3t" in bench.next(delay_queue(QUEUE, DELAYS[0])).body


def test_unhandled_error_of_render_names_its_request(bench: Bench) -> None:
    event = record_of(
        handed_over(bench), {"errorType": "KeyError", "errorMessage": "'x'"}, "RetriesExhausted", "Unhandled"
    )
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(found[0].with_(attempt=3), found[1])
    assert bench.settle(event) == "failed"
    error = bench.record().error
    assert error is not None
    assert error["code"] == "internal"
    assert event["requestContext"]["requestId"] in error["detail"]
