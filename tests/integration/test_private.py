"""Tests that the secrets of private jobs reach render and are stored or logged nowhere."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3
import pytest

from functions.dispatch.batch import Delivery
from tests.integration.conftest import API, Broker
from tests.integration.workbench import Bench
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.core.errors import Transient, UrlshotError
from urlshot.core.identity import job_id, private_id
from urlshot.core.messages import DEAD, QUEUE, delay_queue
from urlshot.core.options import Options
from urlshot.core.private import Private
from urlshot.core.render_contract import Report
from urlshot.lifecycle.accept import Acceptor, Outcome, Request

URL = "https://example.com/account"
PRIVATE = Private.model_validate(
    {"headers": {"x-token": "s3cret"}, "basic_auth": {"username": "me", "password": "s3cret"}}
)


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    return Bench(store, broker)


def ask(bench: Bench) -> tuple[str, Delivery]:
    request = Request(private_id(), URL, Options(), 600, records.now(), PRIVATE)
    publisher = bench.broker.publisher(API)
    assert Acceptor(bench.store, publisher).accept(request, 10).outcome is Outcome.QUEUED
    publisher.close()
    return request.id, bench.next(QUEUE)


def everything_in(bench: Bench) -> str:
    """Returns the content of all objects in the bucket."""
    s3 = boto3.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bench.store.bucket)["Contents"]]
    return "".join(s3.get_object(Bucket=bench.store.bucket, Key=key)["Body"].read().decode() for key in keys)


def rendered(bench: Bench, delivery: Delivery, outcome: Report | UrlshotError) -> str:
    """Hands a job over, removes its parked message, settles the job, and returns the outcome."""
    assert bench.dispatch(delivery) == ["handed over"]
    bench.waiting()
    return bench.settle(bench.rendered(bench.jobs[-1], outcome))


def test_secrets_reach_render_and_nothing_else(
    bench: Bench,
    report: Report,
    caplog: pytest.LogCaptureFixture,
) -> None:
    private, delivery = ask(bench)
    assert rendered(bench, delivery, Transient("crash")) == "retried"
    bench.now += timedelta(seconds=1)
    assert rendered(bench, bench.next(delay_queue(QUEUE, 1)), report) == "done"
    assert [job.private for job in bench.jobs] == [PRIVATE, PRIVATE]
    assert {job.id for job in bench.jobs} == {private}
    announced = json.dumps([bench.events(), bench.completions()])
    logged = "".join(str(vars(line)) for line in caplog.records)
    assert private in announced
    assert private in logged
    assert "s3cret" not in everything_in(bench) + announced + logged


def test_private_job_is_never_a_hit(bench: Bench, report: Report) -> None:
    first, delivery = ask(bench)
    assert rendered(bench, delivery, report) == "done"
    second, _ = ask(bench)
    assert first != second


@pytest.mark.parametrize("code", ["crash", "unsupported_scheme"])
def test_dead_letter_has_no_secrets(bench: Bench, code: str) -> None:
    if code == "crash":
        _, delivery = ask(bench)
        for seconds in (1, 2):
            assert rendered(bench, delivery, UrlshotError("crash")) == "retried"
            delivery = bench.next(delay_queue(QUEUE, seconds))
            bench.now += timedelta(seconds=seconds)
        assert rendered(bench, delivery, UrlshotError("crash")) == "failed"
    else:
        secret = PRIVATE.model_dump(mode="json", exclude_defaults=True)
        body = json.dumps({"url": "ftp://example.com/", "private": secret}).encode()
        assert bench.dispatch(Delivery(QUEUE, body, False)) == ["dead"]
    [dead] = bench.broker.take(DEAD)
    assert json.loads(dead.body)["private"] == "stripped"
    assert json.loads(dead.headers["reason"])["code"] == code
    # If the dead letter is moved back, it is not rendered without its secrets.
    body = dead.body.encode() if isinstance(dead.body, str) else dead.body
    assert bench.dispatch(Delivery(QUEUE, body, False)) == ["dead"]


def test_bare_message_can_request_a_private_job(bench: Bench, report: Report) -> None:
    secret = PRIVATE.model_dump(mode="json", exclude_defaults=True)
    body = json.dumps({"url": URL, "private": secret}).encode()
    assert bench.dispatch(Delivery(QUEUE, body, False)) == ["queued"]
    assert rendered(bench, bench.next(QUEUE), report) == "done"
    [job] = bench.jobs
    assert job.private == PRIVATE
    assert len(job.id) == 32


@pytest.mark.parametrize("done", [True, False])
def test_public_request_gets_nothing_of_a_private_job(bench: Bench, report: Report, done: bool) -> None:
    """A request for the same URL makes a job of its own, while the private one runs and after its end."""
    private, delivery = ask(bench)
    secret = report.model_copy(update={"title": "the account of somebody"})
    if done:
        assert rendered(bench, delivery, secret) == "done"
    else:
        assert bench.dispatch(delivery) == ["handed over"]
        bench.waiting()
    public = Request(job_id(URL, {}), URL, Options(), 31_536_000, records.now())
    publisher = bench.broker.publisher(API)
    asked = Acceptor(bench.store, publisher).accept(public, 10)
    publisher.close()
    assert asked.outcome is Outcome.QUEUED
    assert asked.record is not None
    assert (asked.record.id, asked.record.report, asked.record.attempt) == (public.id, None, 0)
    assert public.id != private
    assert rendered(bench, bench.next(QUEUE), report) == "done"
    assert bench.jobs[-1].private == Private()
    found = bench.store.read(public.id)
    assert found is not None and found[0].report is not None
    assert found[0].report.title == report.title != secret.title


def test_private_request_gets_nothing_of_a_public_job(bench: Bench, report: Report) -> None:
    public = Request(job_id(URL, {}), URL, Options(), 31_536_000, records.now())
    publisher = bench.broker.publisher(API)
    assert Acceptor(bench.store, publisher).accept(public, 10).outcome is Outcome.QUEUED
    publisher.close()
    assert rendered(bench, bench.next(QUEUE), report) == "done"
    first, _ = ask(bench)
    second, _ = ask(bench)
    assert len({first, second, public.id}) == 3
