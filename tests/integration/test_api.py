"""Tests the calls of the API from the event to the answer, with S3 calls to moto and publishes to RabbitMQ."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from aws_lambda_powertools import Metrics

from functions.api import app, job_calls
from functions.api.answers import Answers
from functions.api.dependencies import ApiSettings, Dependencies
from functions.api.http import Answer, Call
from functions.api.requests import Rules
from functions.api.waiting import SLOT_LEASE, Waiting
from tests.integration.conftest import API, Broker
from tests.integration.workbench import ListenedBus
from urlshot.adapters.bus import Bus
from urlshot.adapters.slots import Free, Slots
from urlshot.adapters.store import Store
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core import records
from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected, Transient
from urlshot.core.identity import job_id, private_id
from urlshot.core.links import FileLinks
from urlshot.core.messages import QUEUE, QUEUE_BULK
from urlshot.core.options import Options
from urlshot.core.render_contract import Report
from urlshot.core.subscription_rules import parse_allow, parse_hosts
from urlshot.core.webhooks import WebhookKeys
from urlshot.lifecycle.accept import Acceptor

URL = "https://example.com/"
ID = job_id(URL, {})


@pytest.fixture
def bus(aws: str) -> ListenedBus:
    return ListenedBus()


@pytest.fixture
def deps(store: Store, broker: Broker, bus: ListenedBus) -> Iterator[Dependencies]:
    settings = ApiSettings(
        bucket=store.bucket, broker_url=broker.url, broker_secret="", bus="", max_age=600, pdf_days=30,
        link_seconds=900, max_waiting=2, require_api_key=True, webhook_secret="",
    )  # fmt: skip
    publisher = broker.publisher(API)
    links = FileLinks(lambda: b"secret")
    yield Dependencies(
        settings=settings,
        store=store,
        publisher=publisher,
        acceptor=Acceptor(store, publisher),
        waiting=Waiting(store, Slots(store.bucket, store._s3, "wait", 2, SLOT_LEASE)),
        answers=Answers(store, links, 900, 30),
        rules=Rules(Egress(), 600, parse_hosts("hooks.example.com"), parse_allow("@example.com")),
        subscriptions=SubscriptionStore(store.bucket, store._s3),
        links=links,
        webhook_keys=WebhookKeys(lambda: "a password"),
        bus=Bus(bus.name),
    )
    publisher.close()


def call(route: str = "/pdf/{id}", method: str = "GET", body: object = None, job: str = ID, **query: str) -> Call:
    text = json.dumps(body) if body is not None else ""
    return Call(method, route, "https://api.example.org/prod", "r-1", {"id": job}, query, {}, text)


def write(store: Store, record: records.Record) -> records.Record:
    boto3.client("s3").put_object(
        Bucket=store.bucket, Key=f"job/{record.id}.json", Body=record.model_dump_json().encode()
    )
    return record


def made(store: Store, report: Report) -> records.Record:
    record = records.create(ID, URL, Options(), records.now())
    return write(store, records.done(record, report, records.now(), records.GRACE).with_(announced=True))


def state(store: Store) -> records.Record:
    found = store.read(ID)
    assert found is not None
    return found[0]


# ---- the cost of a request -------------------------------------------------------------------------------------------


@pytest.fixture
def s3_calls(store: Store) -> list[str]:
    """Returns a list that records the name of each S3 call from now on."""
    made: list[str] = []
    store._s3.meta.events.register("before-call.s3", lambda model, **_: made.append(model.name))
    return made


def test_hit_costs_one_call_and_a_miss_three_and_a_publish(
    deps: Dependencies, broker: Broker, put_pdf: Callable[[str], None], s3_calls: list[str]
) -> None:
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL})).status == 202
    assert s3_calls == ["HeadObject", "PutObject", "PutObject"]
    assert len(broker.take(QUEUE)) == 1
    s3_calls.clear()
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL})).status == 202  # joins
    assert s3_calls == ["HeadObject", "PutObject", "GetObject"]
    put_pdf(ID)
    s3_calls.clear()
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL})).status == 200
    assert s3_calls == ["HeadObject"]


# ---- batches and older PDFs ------------------------------------------------------------------------------------------


def test_batch_has_an_answer_for_each_request(
    deps: Dependencies, broker: Broker, put_pdf: Callable[[str], None]
) -> None:
    put_pdf(ID)
    wanted: list[object] = [
        {"url": URL},
        {"url": "https://example.com/new"},
        {"url": "https://example.com/new"},
        {"url": "http://10.0.0.1/"},
        {"url": "https://example.com/", "options": {"scale": 9}},
        7,
    ]
    answer = job_calls.post_batch(deps, call("/pdf/batch", "POST", {"requests": wanted}))
    results = answer.value["results"]
    assert [one["index"] for one in results] == list(range(6))
    assert [one["status"] for one in results] == [200, 202, 202, 422, 422, 422]
    assert results[0]["body"]["links"]["pdf"].startswith("http")
    assert results[1]["body"]["id"] == results[2]["body"]["id"]
    assert [one["body"].get("code") for one in results[3:]] == ["blocked_target", "invalid_request", "invalid_request"]
    assert answer.value["counts"] == {"hit": 1, "queued": 1, "joined": 1, "failed": 0, "refused": 3}
    assert {name: number for name, number in answer.outcomes.items() if number} == {
        "hit": 1, "queued": 1, "joined": 1, "refused": 3
    }  # fmt: skip
    assert len(broker.take(QUEUE_BULK)) == 1


def test_batch_takes_a_hundred_requests(deps: Dependencies, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_calls, "BATCH_SECONDS", 600.0)  # a busy machine may need longer than a call may last
    wanted = [{"url": f"https://example.com/{number}"} for number in range(100)]
    answer = job_calls.post_batch(deps, call("/pdf/batch", "POST", {"requests": wanted}))
    assert answer.value["counts"]["queued"] == 100
    assert (len(broker.take(QUEUE_BULK)), broker.take(QUEUE)) == (100, [])


def test_batch_gives_up_soon_when_the_broker_is_away(deps: Dependencies) -> None:
    class Away(Acceptor):
        tried = 0

        def accept(self, *_: Any, **__: Any) -> Any:
            Away.tried += 1
            raise Transient("queue_unavailable")

    away = replace(deps, acceptor=Away(deps.store, deps.publisher, 1))
    wanted = [{"url": f"https://example.com/{number}"} for number in range(100)]
    answer = job_calls.post_batch(away, call("/pdf/batch", "POST", {"requests": wanted}))
    assert {one["body"]["code"] for one in answer.value["results"]} == {"queue_unavailable"}
    assert answer.value["counts"]["refused"] == 100
    assert Away.tried <= job_calls.BATCH_THREADS


def test_answer_names_the_older_pdf_of_a_job_that_has_no_new_one(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    made(deps.store, report)
    put_pdf(ID)
    answer = job_calls.post(deps, call("/pdf", "POST", {"url": URL, "max_age": 0}))
    assert (answer.status, answer.value["state"]) == (202, "queued")
    assert answer.value["older_pdf"]["report"]["title"] == "Example"
    assert answer.value["links"]["pdf"]
    error = Rejected("page_status", "404").public()
    write(deps.store, records.failed(state(deps.store), error, records.now(), records.GRACE).with_(announced=True))
    assert job_calls.get(deps, call()).value["older_pdf"]["age"] >= 0
    failed = job_calls._failed(deps, call("/pdf", "POST"), state(deps.store))
    assert (failed.status, failed.value["code"]) == (502, "page_status")
    assert failed.value["older_pdf"]["report"]["title"] == "Example"


# ---- reports and deletion --------------------------------------------------------------------------------------------


def test_report_exists_with_its_pdf_and_has_an_etag(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    with pytest.raises(Rejected, match="not_found"):
        job_calls.report(deps, call())
    made(deps.store, report)
    with pytest.raises(Rejected, match="report_not_found"):
        job_calls.report(deps, call())
    put_pdf(ID)
    answer = job_calls.report(deps, call())
    assert Report.model_validate(answer.value) == report
    again = job_calls.report(deps, replace(call(), headers={"if-none-match": answer.headers["ETag"]}))
    assert (again.status, again.body) == (304, "")


def test_report_of_an_older_pdf_stays_while_a_new_one_is_made(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    before = made(deps.store, report)
    put_pdf(ID)
    tag = job_calls.report(deps, call()).headers["ETag"]
    write(deps.store, records.create(ID, URL, Options(), records.now(), before))
    assert job_calls.report(deps, call()).headers["ETag"] == tag


def test_delete_removes_pdf_and_record(deps: Dependencies, report: Report, put_pdf: Callable[[str], None]) -> None:
    made(deps.store, report)
    put_pdf(ID)
    assert job_calls.delete(deps, call(method="DELETE")).status == 204
    assert deps.store.read(ID) is None
    assert deps.store.head_pdf(ID) is None
    with pytest.raises(Rejected, match="not_found"):
        job_calls.delete(deps, call(method="DELETE"))


def test_pdf_that_outlived_its_record_can_be_deleted(deps: Dependencies, put_pdf: Callable[[str], None]) -> None:
    put_pdf(ID)
    assert job_calls.delete(deps, call(method="DELETE")).status == 204
    assert deps.store.head_pdf(ID) is None


def test_endpoint_without_keys_deletes_nothing(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    made(deps.store, report)
    put_pdf(ID)
    keyless = replace(deps, settings=deps.settings.model_copy(update={"require_api_key": False}))
    with pytest.raises(Rejected, match="forbidden"):
        job_calls.delete(keyless, call(method="DELETE"))
    assert deps.store.head_pdf(ID) is not None


@pytest.mark.parametrize("change", ["next state of the same generation", "new generation"])
def test_delete_takes_a_changed_record_but_not_a_new_generation(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None], change: str
) -> None:
    """A change by dispatch or settle does not bring the job back, but a new request's generation stays."""
    first = write(deps.store, records.create(ID, URL, Options(), records.now()))
    put_pdf(ID)
    new = change == "new generation"
    after = records.create(ID, URL, Options(), records.now()) if new else records.queued(first, records.now())

    class ChangingStore(Store):
        done = False

        def delete(self, job_id: str, etag: str) -> None:
            if not self.done:
                self.done = True
                write(deps.store, after)
            super().delete(job_id, etag)

    changing = replace(deps, store=ChangingStore(deps.store.bucket, deps.store._s3))
    assert job_calls.delete(changing, call(method="DELETE")).status == 204
    assert (deps.store.read(ID) is not None) is new


# ---- subscriptions ---------------------------------------------------------------------------------------------------

HOOK = {"callback_url": "https://hooks.example.com/x", "notify": "me@example.com"}


def subscribed(store: Store) -> list[str]:
    listed = boto3.client("s3").list_objects_v2(Bucket=store.bucket, Prefix=f"sub/{ID}/").get("Contents", [])
    return [item["Key"] for item in listed]


def test_subscribers_of_an_unfinished_job_get_no_event_yet(deps: Dependencies, bus: ListenedBus) -> None:
    for address in ("https://hooks.example.com/a", "https://hooks.example.com/b"):
        answer = job_calls.post(deps, call("/pdf", "POST", {"url": URL, "callback_url": address}))
        assert answer.status == 202
    assert len(subscribed(deps.store)) == 2
    assert bus.events() == []


def test_hit_is_announced_immediately_to_its_own_subscribers_only(
    deps: Dependencies, bus: ListenedBus, report: Report, put_pdf: Callable[[str], None]
) -> None:
    made(deps.store, report)
    put_pdf(ID)
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL, **HOOK})).status == 200
    [event] = bus.events()
    detail = event["detail"]
    assert (event["detail-type"], detail["cached"], detail["audience"]) == ("ShotCompleted", True, "subscribers")
    assert detail["report"]["title"] == "Example"
    assert sorted(detail["subscriptions"]) == sorted(
        key.split("/")[2].removesuffix(".json") for key in subscribed(deps.store)
    )
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL})).status == 200
    assert bus.events() == []


def test_recent_failure_is_announced_immediately_to_a_new_subscriber(deps: Dependencies, bus: ListenedBus) -> None:
    error = Rejected("page_status", "404").public()
    write(
        deps.store,
        records.failed(records.create(ID, URL, Options(), records.now()), error, records.now(), records.GRACE).with_(
            announced=True
        ),
    )
    assert job_calls.post(deps, call("/pdf", "POST", {"url": URL, **HOOK})).status == 502
    [event] = bus.events()
    assert (event["detail-type"], event["detail"]["audience"]) == ("ShotFailed", "subscribers")
    assert event["detail"]["error"]["code"] == "page_status"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"callback_url": "https://elsewhere.example.com/"}, "callback_not_allowed"),
        ({"callback_url": "http://hooks.example.com/"}, "callback_not_allowed"),
        ({"callback_url": "https://127.0.0.1/"}, "blocked_target"),
        ({"notify": "me@example.org"}, "notify_not_allowed"),
        ({"notify": "me@example.com, you@example.com"}, "invalid_request"),
    ],
)
def test_request_with_a_forbidden_subscriber_is_refused_whole(
    deps: Dependencies, broker: Broker, more: dict[str, str], code: str
) -> None:
    with pytest.raises(Rejected) as caught:
        job_calls.post(deps, call("/pdf", "POST", {"url": URL, **more}))
    assert (caught.value.code.name, caught.value.field) == (code, next(iter(more)))
    assert subscribed(deps.store) == []
    assert broker.take(QUEUE) == []


def test_request_that_is_not_queued_leaves_no_subscription(deps: Dependencies) -> None:
    class Away(Acceptor):
        def accept(self, *_: Any, **__: Any) -> Any:
            raise Transient("queue_unavailable")

    away = replace(deps, acceptor=Away(deps.store, deps.publisher, 1))
    with pytest.raises(Transient):
        job_calls.post(away, call("/pdf", "POST", {"url": URL, **HOOK}))
    assert subscribed(deps.store) == []


def test_delete_ends_the_subscriptions_of_the_job(deps: Dependencies) -> None:
    job_calls.post(deps, call("/pdf", "POST", {"url": URL, **HOOK}))
    assert len(subscribed(deps.store)) == 2
    assert job_calls.delete(deps, call(method="DELETE")).status == 204
    assert subscribed(deps.store) == []


def test_file_opens_with_its_own_token_only(deps: Dependencies, report: Report, put_pdf: Callable[[str], None]) -> None:
    made(deps.store, report)
    put_pdf(ID)
    address = job_calls.post(deps, call("/pdf", "POST", {"url": URL})).value["links"]["file"]
    token = address.partition("?token=")[2]
    assert job_calls.file(deps, call("/pdf/{id}/file", token=token)).status == 302
    for job, query in [(ID, {}), (ID, {"token": "x"}), ("b" * 40, {"token": token})]:
        with pytest.raises(Rejected, match="forbidden"):
            job_calls.file(deps, call("/pdf/{id}/file", job=job, **query))


def test_private_job_is_found_by_its_own_id_alone(
    deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    """No request for its URL gets its PDF, its job, its report or its file; not even one with the same secrets."""
    private, title = private_id(), "the account of somebody"
    record = records.create(private, URL, Options(), records.now())
    mine = report.model_copy(update={"title": title})
    write(deps.store, records.done(record, mine, records.now(), records.GRACE).with_(announced=True))
    put_pdf(private)
    assert job_calls.report(deps, call(job=private)).value["title"] == title
    for route in (job_calls.get, job_calls.report):
        with pytest.raises(Rejected, match="not_found"):
            route(deps, call())
    for request in (
        {"url": URL},
        {"url": URL, "max_age": 31_536_000},
        *({"url": URL, "private": {"headers": {"X-Token": "s3cret"}}} for _ in range(2)),
    ):
        answer = job_calls.post(deps, call("/pdf", "POST", request))
        assert answer.status == 202
        assert answer.value["id"] != private
        assert title not in answer.body
    with pytest.raises(Rejected, match="report_not_found"):
        job_calls.report(deps, call())
    with pytest.raises(Rejected, match="forbidden"):  # the token of another file
        job_calls.file(deps, call("/pdf/{id}/file", job=private, token=deps.links.path(ID).partition("=")[2]))


def test_private_jobs_of_one_url_share_nothing(deps: Dependencies, broker: Broker) -> None:
    """The requests of two users are two jobs with two messages, while the first is queued too."""
    bodies = [{"url": URL, "private": {"headers": {"X-Token": token}}} for token in ("mine", "yours", "mine")]
    ids = [job_calls.post(deps, call("/pdf", "POST", body)).value["id"] for body in bodies]
    batch = job_calls.post_batch(deps, call("/pdf/batch", "POST", {"requests": bodies}))
    ids += [one["body"]["id"] for one in batch.value["results"]]
    assert len(set(ids)) == 6
    messages = [*broker.take(QUEUE), *broker.take(QUEUE_BULK)]
    sent = {one.properties["message_id"]: json.loads(one.body)["private"]["headers"] for one in messages}
    assert [sent[one]["x-token"] for one in ids] == ["mine", "yours", "mine"] * 2


# ---- waiting ---------------------------------------------------------------------------------------------------------


class Counted(Store):
    reads = 0

    def read(self, job_id: str) -> tuple[records.Record, str] | None:
        self.reads += 1
        return super().read(job_id)


def test_waiting_request_sees_the_end_and_gives_its_slot_back(deps: Dependencies, report: Report) -> None:
    running = write(deps.store, records.create(ID, URL, Options(), records.now()))
    timer = threading.Timer(0.5, lambda: write(deps.store, records.done(running, report, records.now(), records.GRACE)))
    timer.start()
    found = deps.waiting.follow(ID, 20)
    timer.join()
    assert found is not None
    assert found[0].state == "done"
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=deps.store.bucket, Prefix="wait/")


def test_wait_costs_a_few_reads_and_lasts_as_long_as_asked(deps: Dependencies) -> None:
    write(deps.store, records.create(ID, URL, Options(), records.now()))
    counted = Counted(deps.store.bucket, deps.store._s3)
    begun = time.monotonic()
    assert Waiting(counted, Slots(counted.bucket, counted._s3, "wait", 1, SLOT_LEASE)).follow(ID, 2.0) is not None
    assert time.monotonic() - begun >= 2.0
    assert counted.reads <= 11


def waiting_for(deps: Dependencies, count: int, clock: Callable[[], datetime] = records.now) -> Waiting:
    """Returns the `Waiting` of an api function with `count` wait slots."""
    slots = Slots(deps.store.bucket, deps.store._s3, "wait", count, SLOT_LEASE, clock)
    return Waiting(deps.store, slots)


def test_requests_without_a_slot_do_not_wait(deps: Dependencies, report: Report) -> None:
    """They are answered immediately with the record, or refused with `or_refuse`."""
    running = write(deps.store, records.create(ID, URL, Options(), records.now()))
    waiting = waiting_for(deps, 2)
    assert [waiting._slots.take(Free(number)) is not None for number in range(2)] == [True, True]
    found = waiting.follow(ID, 20)
    assert found is not None
    assert found[0].state == "publishing"
    with pytest.raises(Transient, match="too_many_waiting"):
        waiting.follow(ID, 20, or_refuse=True)
    write(deps.store, records.done(running, report, records.now(), records.GRACE))
    assert waiting.follow(ID, 20, or_refuse=True) is not None  # a job that has ended needs no slot
    assert waiting_for(deps, 0)._take_slot() is None


def test_wait_slot_has_one_holder(deps: Dependencies) -> None:
    waiting = waiting_for(deps, 10)
    with ThreadPoolExecutor(10) as threads:
        taken = [slot for slot in threads.map(lambda _: waiting._take_slot(), range(10)) if slot]
    # A concurrent request may get no slot, because others took each slot that it tried.
    taken += [slot for slot in (waiting._take_slot() for _ in range(10 - len(taken))) if slot]
    assert sorted(slot.number for slot in taken) == list(range(10))
    assert waiting._take_slot() is None
    waiting._slots.give_back(taken[3])
    again = waiting._take_slot()
    assert again is not None
    assert again.number == taken[3].number
    waiting._slots.give_back(taken[3])  # by the former holder: changes nothing
    assert waiting._take_slot() is None


def test_wait_slot_with_an_expired_lease_is_taken_by_one_request(deps: Dependencies) -> None:
    assert waiting_for(deps, 1)._take_slot()
    later = waiting_for(deps, 1, lambda: records.now() + timedelta(hours=1))._slots
    [free] = later.list_free()
    with ThreadPoolExecutor(5) as threads:
        taken = list(threads.map(later.take, [free] * 5))
    assert [slot.number for slot in taken if slot] == [0]


# ---- every answer ----------------------------------------------------------------------------------------------------


def event(route: str, method: str = "GET", path: str = "", **changes: Any) -> dict[str, Any]:
    path = path or route.replace("{id}", ID)
    return {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": {"X-Forwarded-Proto": "https"},
        "queryStringParameters": None,
        "pathParameters": {"id": ID},
        "requestContext": {"path": f"/prod{path}", "domainName": "host", "requestId": "r-1", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
        **changes,
    }


EXPECTED = {
    "Cache-Control", "Content-Type", "ETag", "Location", "Retry-After", "X-Content-Type-Options", "X-Request-Id"
}  # fmt: skip


@pytest.fixture
def ask(deps: Dependencies, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(app, "bootstrap", lambda: deps)
    monkeypatch.setattr(app, "metrics", Metrics(namespace="urlshot", service="urlshot"))
    context: Any = SimpleNamespace(function_name="api", aws_request_id="a-1")

    def asked(*arguments: Any, **changes: Any) -> dict[str, Any]:
        answer: dict[str, Any] = app.handler(event(*arguments, **changes), context)
        return answer

    return asked


def test_every_answer_carries_the_id_of_its_request(ask: Callable[..., dict[str, Any]]) -> None:
    for answer in (ask("/health"), ask("/pdf/{id}"), ask("/pdf", "POST", body="{"), ask("/pdf", "OPTIONS")):
        assert answer["headers"]["X-Request-Id"] == "r-1"
    assert json.loads(ask("/pdf", "POST", body="{")["body"])["request_id"] == "r-1"


HOSTILE = {
    "line break": "https://example.com/\r\nSet-Cookie: a=b",
    "line break, percent-encoded": "https://example.com/%0d%0aSet-Cookie:%20a=b",
    "two line breaks": "https://example.com/\r\n\r\n<script>alert(1)</script>",
    "end of the file name": 'https://example.com/a";filename="evil.exe',
    "letters that end in CR and LF": "https://example.com/\u560d\u560aSet-Cookie:a=b",
    "other line ends": "https://example.com/\x85\u2028\u2029\x0b\x0c",
    "null": "https://example.com/a\x00.exe",
    "markup": "https://example.com/<img src=x onerror=alert(1)>?\"'><script>alert(1)</script>",
    "right to left": "https://example.com/\u202efdp.exe",
    "host": "https://example.com\r\n.evil.example/",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_url_adds_no_header_and_no_other_file_name(
    ask: Callable[..., dict[str, Any]], put_pdf: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(job_calls, "WAIT_SECONDS", 0.0)
    url = HOSTILE[name]
    asked = ask("/pdf", "POST", body=json.dumps({"url": url}))
    assert asked["statusCode"] == 202
    job = json.loads(asked["body"])
    assert json.loads(ask("/pdf/{id}", pathParameters={"id": job["id"]})["body"])["url"] == job["url"]
    waits = ask("/pdf", queryStringParameters={"url": url, "hops": "1"})
    put_pdf(job["id"])
    hit = ask("/pdf", "POST", body=json.dumps({"url": url}))
    found = ask("/pdf", queryStringParameters={"url": url})
    assert (hit["statusCode"], found["statusCode"]) == (200, 303)
    for answer in (asked, waits, hit, found):
        assert [value for value in answer["headers"].values() if not re.fullmatch(r"[ -~]*", value)] == []
        assert set(answer["headers"]) <= EXPECTED
    [disposition] = parse_qs(urlsplit(found["headers"]["Location"]).query)["response-content-disposition"]
    assert re.fullmatch(r'inline; filename="[A-Za-z0-9.-]{1,100}\.pdf"', disposition)
    assert urlsplit(waits["headers"]["Location"]).netloc == "host"


def test_unknown_method_is_answered_with_the_allowed_ones(ask: Callable[..., dict[str, Any]]) -> None:
    answer = ask("/pdf/{id}", "PUT")
    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET, DELETE, HEAD, OPTIONS")
    assert json.loads(answer["body"])["code"] == "method_not_allowed"


def test_head_is_get_without_the_body_and_its_link_is_signed_for_head(
    ask: Callable[..., dict[str, Any]], deps: Dependencies, report: Report, put_pdf: Callable[[str], None]
) -> None:
    made(deps.store, report)
    put_pdf(ID)
    for route in ("/pdf/{id}", "/pdf/{id}/report", "/health", "/webhook-keys"):
        get, head = ask(route), ask(route, "HEAD")
        assert (head["statusCode"], head["body"]) == (get["statusCode"], "")
        assert head["headers"] == get["headers"]
    token = {"queryStringParameters": {"token": deps.links.path(ID).partition("=")[2]}}
    [to_get, to_head] = [ask("/pdf/{id}/file", method, **token)["headers"]["Location"] for method in ("GET", "HEAD")]
    assert "X-Amz-Signature" in to_head
    assert to_get.split("X-Amz-Signature=")[1] != to_head.split("X-Amz-Signature=")[1]


def test_unexpected_error_is_a_500_that_reveals_nothing(
    ask: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(deps: Dependencies, call: Call) -> Answer:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(app, "ROUTES", {**app.ROUTES, "/health": {"GET": broken}})
    answer = ask("/health")
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (500, "internal")
    assert "42" not in answer["body"]
    assert "the secret is 42" in caplog.text


@pytest.mark.parametrize(("origin", "varies"), [("", False), ("*", False), ("https://app.example.com", True)])
def test_answers_carry_the_configured_cors_origin(
    ask: Callable[..., dict[str, Any]], deps: Dependencies, monkeypatch: pytest.MonkeyPatch, origin: str, varies: bool
) -> None:
    open_to = replace(deps, settings=deps.settings.model_copy(update={"cors_origin": origin}))
    monkeypatch.setattr(app, "bootstrap", lambda: open_to)
    preflight, answer = ask("/pdf", "OPTIONS"), ask("/pdf/{id}")
    assert preflight["statusCode"] == 204
    assert preflight["headers"].get("Access-Control-Allow-Origin", "") == origin
    assert ("Access-Control-Allow-Methods" in preflight["headers"]) is bool(origin)
    assert answer["headers"].get("Access-Control-Allow-Origin", "") == origin
    assert ("Vary" in answer["headers"]) is varies


def test_outcomes_of_requests_are_counted(
    ask: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    ask("/pdf", "POST", body=json.dumps({"url": URL}))
    ask("/pdf", "POST", body="{")
    ask("/pdf/batch", "POST", body=json.dumps({"requests": [{"url": URL}, {"url": "x"}, {"url": "y"}]}))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = [{key: value for key, value in line.items() if key.startswith("pdf.request.")} for line in lines]
    assert counted == [
        {"pdf.request.queued": [1.0]},
        {"pdf.request.refused": [1.0]},
        {"pdf.request.joined": [1.0], "pdf.request.refused": [2.0]},
    ]
