"""One message, from its claim to its announcement, and what is left when dispatch dies between any two steps.

S3, EventBridge and RabbitMQ are called for real; the renderer alone is played, because what is proved here is what
dispatch makes of its answers. The whole local stack proves the rest.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from functions.dispatch.batch import Delivery
from tests.integration.conftest import DELAYS, Broker
from tests.integration.workbench import ID, URL, Bench, PlayedRenderer
from urlshot import records
from urlshot.errors import Transient, UrlshotError
from urlshot.jobs import RenderAnswer, RenderJob, Report
from urlshot.messages import DEAD, QUEUE, delay_queue
from urlshot.options import Options
from urlshot.store import Store


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    return Bench(store, broker)


def test_a_job_is_rendered_settled_and_announced(bench: Bench, report: Report) -> None:
    delivery = bench.queue_job()
    assert bench.worker(report).handle(delivery) == "done"
    record = bench.record()
    assert (record.state, record.attempt, record.announced) == ("done", 1, True)
    assert record.report is not None
    assert record.report.phases.keys() == {"queue"}
    assert record.report.model_copy(update={"phases": {}}) == report
    [event] = bench.events()
    assert (event["source"], event["detail-type"]) == ("urlshot", "ShotCompleted")
    detail = event["detail"]
    assert detail["event_key"] == f"{ID}:{record.generation}:done"
    assert (detail["key"], detail["attempts"], detail["cached"]) == (f"pdf/{ID}.pdf", 1, False)
    assert bench.completions() == [detail]


def test_what_render_is_given_is_one_key_for_one_lease(bench: Bench, report: Report) -> None:
    worker = bench.worker(report)
    worker.handle(bench.queue_job())
    [job] = bench.renderer.jobs
    assert job.upload is not None
    form = json.loads(__import__("base64").b64decode(job.upload.fields["policy"]))
    conditions = form["conditions"]
    assert {"key": f"pdf/{ID}.pdf"} in conditions
    assert {"bucket": bench.store.bucket} in conditions
    assert {"Content-Type": "application/pdf"} in conditions
    assert ["content-length-range", 1, job.limits.pdf_bytes] in conditions
    assert not any("starts-with" in condition for condition in conditions)
    ends = datetime.fromisoformat(form["expiration"])
    assert timedelta(0) < ends - records.now() <= worker.policy.lease


@pytest.mark.parametrize("code", ["page_status", "blocked_target", "too_large"])
def test_what_would_fail_again_fails_at_once(bench: Bench, code: str) -> None:
    assert bench.worker(UrlshotError(code, "Why.")).handle(bench.queue_job()) == "failed"
    record = bench.record()
    assert (record.state, record.attempt, record.announced) == ("failed", 1, True)
    [event] = bench.events()
    assert event["detail-type"] == "ShotFailed"
    assert (event["detail"]["error"]["code"], event["detail"]["key"]) == (code, None)
    assert bench.completions() == [event["detail"]]
    assert bench.broker.take(DEAD) == []


def test_what_may_work_later_waits_longer_each_time_and_is_kept_when_it_never_does(bench: Bench) -> None:
    worker = bench.worker(Transient("connection_refused", "Refused."))
    delivery = bench.queue_job()
    for attempt, seconds in ((1, DELAYS[0]), (2, DELAYS[1])):
        assert worker.handle(delivery) == "retried"
        assert (bench.record().state, bench.record().attempt) == ("queued", attempt)
        delivery = bench.next(delay_queue(QUEUE, seconds))
    assert bench.events() == []
    assert worker.handle(delivery) == "failed"
    assert bench.record().attempt == 3
    [event] = bench.events()
    assert event["detail"]["error"]["code"] == "connection_refused"
    [dead] = bench.broker.take(DEAD)
    # in the bare form, so that moving it back to the work queue has it rendered anew
    assert json.loads(dead.body) == {"url": URL, "options": {}}
    assert json.loads(dead.headers["reason"])["code"] == "connection_refused"


def test_a_second_attempt_may_succeed(bench: Bench, report: Report) -> None:
    worker = bench.worker(Transient("crash"), report)
    assert worker.handle(bench.queue_job()) == "retried"
    assert worker.handle(bench.next(delay_queue(QUEUE, DELAYS[0]))) == "done"
    assert bench.record().attempt == 2


def test_throttling_costs_no_attempt(bench: Bench, report: Report) -> None:
    worker = bench.worker(
        Transient("throttled"), Transient("throttled"), Transient("throttled"), Transient("throttled"), report
    )
    delivery = bench.queue_job()
    for _ in range(4):
        assert worker.handle(delivery) == "retried"
        assert bench.record().attempt == 0
        delivery = bench.next(delay_queue(QUEUE, DELAYS[0]))
    assert worker.handle(delivery) == "done"
    assert bench.record().attempt == 1


def test_a_duplicate_delivery_is_parked_while_the_lease_lives_and_dropped_when_it_is_done(
    bench: Bench, report: Report
) -> None:
    delivery = bench.queue_job()
    found = bench.store.read(ID)
    assert found is not None
    etag = bench.store.change(records.running(found[0], timedelta(seconds=1.5), bench.now), found[1])
    worker = bench.worker(report)
    assert worker.handle(delivery) == "parked"
    assert bench.renderer.jobs == []
    assert bench.record().attempt == 1
    parked = bench.next(delay_queue(QUEUE, 2))  # the first step that outlasts the lease
    done = records.done(bench.record(), report, bench.now).with_(announced=True)
    bench.store.change(done, etag)
    assert worker.handle(parked) == "dropped"
    assert bench.events() == []


def test_an_older_generation_is_dropped(bench: Bench, report: Report) -> None:
    delivery = bench.queue_job()
    found = bench.store.read(ID)
    assert found is not None
    bench.store.change(records.create(ID, URL, Options(), bench.now, over=found[0]), found[1])
    assert bench.worker(report).handle(delivery) == "dropped"
    assert bench.renderer.jobs == []


def test_a_claim_that_was_lost_while_rendering_changes_nothing(bench: Bench, report: Report) -> None:
    class Overtaken(PlayedRenderer):
        def render(self, job: RenderJob, throttle_seconds: float) -> RenderAnswer:
            found = bench.store.read(ID)
            assert found is not None
            bench.store.change(records.create(ID, URL, Options(), bench.now, over=found[0]), found[1])
            return super().render(job, throttle_seconds)

    delivery = bench.queue_job()
    worker = bench.worker(report)
    worker._renderer = Overtaken(bench.store.bucket, [report])
    assert worker.handle(delivery) == "lost"
    assert bench.record().state == "publishing"
    assert bench.events() == []


def test_a_job_that_was_deleted_while_rendering_takes_its_pdf_with_it(bench: Bench, report: Report) -> None:
    class Deleted(PlayedRenderer):
        def render(self, job: RenderJob, throttle_seconds: float) -> RenderAnswer:
            boto3.client("s3").delete_object(Bucket=bench.store.bucket, Key=f"job/{ID}.json")
            return super().render(job, throttle_seconds)

    delivery = bench.queue_job()
    worker = bench.worker(report)
    worker._renderer = Deleted(bench.store.bucket, [report])
    assert worker.handle(delivery) == "deleted"
    assert bench.store.head_pdf(ID) is None
    assert bench.events() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "invalid_json"),
        (b"{}", "invalid_request"),
        (b'{"url": "ftp://x/"}', "unsupported_scheme"),
        (b'{"url": "http://127.0.0.1/"}', "blocked_target"),
        (b'{"url": "https://example.com/", "options": {"scale": 7}}', "invalid_request"),
    ],
)
def test_what_can_never_be_done_is_kept_among_the_dead_with_its_reason(bench: Bench, body: bytes, code: str) -> None:
    assert bench.worker(UrlshotError("crash")).handle(Delivery(QUEUE, body, False)) == "dead"
    [dead] = bench.broker.take(DEAD)
    assert (dead.body.encode() if isinstance(dead.body, str) else dead.body) == body
    assert json.loads(dead.headers["reason"])["code"] == code
    assert bench.renderer.jobs == []


def test_a_bare_message_becomes_a_job_of_its_own(bench: Bench, report: Report) -> None:
    worker = bench.worker(report)
    assert worker.handle(Delivery(QUEUE, b'{"url": "https://EXAMPLE.com"}', False)) == "queued"
    assert worker.handle(bench.next(QUEUE)) == "done"
    assert bench.record().url == URL


def test_a_bare_message_joins_the_job_that_is_there(bench: Bench, report: Report) -> None:
    bench.queue_job()
    assert bench.worker(report).handle(Delivery(QUEUE, b'{"url": "https://example.com/"}', False)) == "joined"
    assert bench.broker.take(QUEUE) == []


def test_a_bare_message_for_what_is_there_is_told_so(bench: Bench, report: Report) -> None:
    worker = bench.worker(report)
    worker.handle(bench.queue_job())
    [first], _ = bench.events(), bench.completions()
    assert worker.handle(Delivery(QUEUE, b'{"url": "https://example.com/"}', False)) == "hit"
    [event] = bench.events()
    assert (event["detail-type"], event["detail"]["cached"]) == ("ShotCompleted", True)
    assert event["detail"]["event_key"] != first["detail"]["event_key"]
    assert event["detail"]["report"]["pages"] == 1
    assert bench.completions() == [event["detail"]]


class Killed(BaseException):
    """Dispatch is gone: nothing of it runs on, no handler of errors either."""


class Fuse:
    """Lets `steps` calls to the outside through, and kills before the next; or after it, its answer never seen."""

    def __init__(self, steps: int, *, after: bool) -> None:
        self.left = steps
        self._after = after

    def wrap(self, part: Any) -> Any:
        fuse = self

        class Wired:
            def __getattr__(self, name: str) -> Any:
                found = getattr(part, name)
                if not callable(found) or name.startswith("_"):
                    return found

                def call(*args: Any, **more: Any) -> Any:
                    fuse.left -= 1
                    if fuse.left < 0 and not fuse._after:
                        raise Killed
                    answer = found(*args, **more)
                    if fuse.left < 0:
                        raise Killed
                    return answer

                return call

        return Wired()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("answer", ["report", "page_status", "crash"])
def test_killed_between_any_two_steps_the_job_still_ends_and_is_told(
    bench: Bench, report: Report, answer: str, after: bool
) -> None:
    """For every number of steps: dispatch dies after so many, and the broker delivers until nothing is left."""
    told: set[int] = set()
    for steps in range(30):
        boto3.client("s3").delete_object(Bucket=bench.store.bucket, Key=f"job/{ID}.json")
        boto3.client("s3").delete_object(Bucket=bench.store.bucket, Key=f"pdf/{ID}.pdf")
        delivery = bench.queue_job()
        generation = bench.record().generation
        result: list[Report | UrlshotError] = [report if answer == "report" else UrlshotError(answer)]
        fuse = Fuse(steps, after=after)
        killed = False
        try:
            bench.worker(*result, wrap=fuse.wrap).handle(delivery)
        except Killed:
            killed = True
        waiting = [delivery] if killed else []
        for _ in range(12):
            for queue in (QUEUE, *(delay_queue(QUEUE, seconds) for seconds in DELAYS)):
                waiting += [
                    Delivery(QUEUE, message.body.encode() if isinstance(message.body, str) else message.body, False)
                    for message in bench.broker.take(queue)
                ]
            if not waiting:
                break
            bench.now += timedelta(seconds=90)  # leases end
            bench.worker(*result).handle(waiting.pop(0))
        assert not waiting
        record = bench.record()
        assert (record.state, record.generation) == ("done" if answer == "report" else "failed", generation)
        assert record.announced
        keys = [event["detail"]["event_key"] for event in bench.events()]
        assert set(keys) == {f"{ID}:{generation}:{record.state}"}
        assert {completion["event_key"] for completion in bench.completions()} == set(keys)
        told.add(len(keys))
        bench.broker.take(DEAD)
        if not killed:
            break
    else:
        pytest.fail("the fuse never outlasted the work")
    # Told once, or, where the crash fell between telling and noting it, twice with the same key.
    assert told <= {1, 2}
    assert 1 in told
