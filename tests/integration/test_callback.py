"""Tests callbacks from an event in the queue to the POST at a real TLS server."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import ada_url
import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.callback import post
from functions.callback.outbox import Outbox
from functions.callback.post import Sender, Undelivered
from functions.callback.work import DELAYS, Worker
from tests.bypasses import BYPASSES, PRIVATE_ADDRESSES
from tests.certificates import certificate
from tests.hooks import Hooks
from urlshot.adapters.claims import Claims
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.store import Store
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core import events, records
from urlshot.core.egress import Egress
from urlshot.core.events import Detail
from urlshot.core.links import FileLinks
from urlshot.core.options import Options
from urlshot.core.render_contract import Report
from urlshot.core.subscription_rules import callback_subscriber
from urlshot.core.subscriptions import Subscriber
from urlshot.core.webhooks import WebhookKeys
from urlshot.network.dial import Found

ID, URL = "0caaf24ab1a0c33440c06afe99df986365b0781f", "https://example.com/"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEYS = WebhookKeys(lambda: "a password")
LINKS = FileLinks(lambda: b"key")
RECEIVES = len(DELAYS) + 1


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture
def hooks(pem: Path) -> Iterator[Hooks]:
    hooks = Hooks(pem)
    yield hooks
    hooks.close()


@pytest.fixture
def sender(hooks: Hooks, pem: Path) -> Sender:
    return Sender(Egress.of(f"localhost:{hooks.port}"), ssl.create_default_context(cafile=str(pem)))


def context(seconds_left: float = 20.0) -> LambdaContext:
    return cast("LambdaContext", SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds_left * 1000)))


class Impatient(Outbox):
    """A queue whose messages come back immediately; `waits` records the seconds for which they should be hidden."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.waits: list[int] = []

    def hide(self, receipt: str, seconds: int) -> None:
        self.waits.append(seconds)
        super().hide(receipt, 0)


@dataclass
class Bench:
    """A queue with its dead-letter queue, and workers on it."""

    store: Store
    sender: Sender
    url: str
    dead_url: str
    outbox: Impatient
    sqs: Any = field(default_factory=lambda: boto3.client("sqs"))

    @property
    def subs(self) -> SubscriptionStore:
        return SubscriptionStore(self.store.bucket, s3_client())

    def worker(self, sender: Sender | None = None) -> Worker:
        """Returns a worker as a new process makes it."""
        return Worker(
            subscriptions=self.subs,
            claims=Claims(self.store.bucket, s3_client()),
            outbox=self.outbox,
            sender=sender or self.sender,
            keys=KEYS,
            links=LINKS,
            public_url="https://api.example/prod",
        )

    def ask(self, address: str, at: datetime = NOON) -> tuple[str, ...]:
        with self.subs.asking(ID, [Subscriber(kind="callback", address=address)], at) as names:
            return names

    def put(self, event: Detail) -> None:
        """Puts an event into the queue as the EventBridge rule does."""
        envelope = {"version": "0", "id": str(uuid.uuid4()), "detail-type": events.detail_type(event)}
        body = {**envelope, "source": "urlshot", "detail": event.model_dump(mode="json")}
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def receive(self, url: str = "") -> list[dict[str, Any]]:
        """Receives the queue's messages in the form in which Lambda's mapping passes them on."""
        found = self.sqs.receive_message(
            QueueUrl=url or self.url, MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=0
        )
        return [
            {
                "messageId": one["MessageId"],
                "receiptHandle": one["ReceiptHandle"],
                "body": one["Body"],
                "attributes": one["Attributes"],
            }
            for one in found.get("Messages", [])
        ]

    def settle(self, record: dict[str, Any], worker: Worker | None = None) -> bool:
        """Handles one message as Lambda does: deletes it if the worker succeeds, and returns whether it did."""
        done = (worker or self.worker()).settle(record, context())
        if done:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])
        return done

    def run(self, rounds: int = RECEIVES + 2) -> None:
        """Handles messages until the queue is empty, for at most `rounds` batches."""
        for _ in range(rounds):
            batch = self.receive()
            if not batch:
                return
            for record in batch:
                self.settle(record)

    def dead(self) -> list[dict[str, Any]]:
        return [json.loads(record["body"]) for record in self.receive(self.dead_url)]

    def left(self) -> int:
        """Returns how many subscriptions are left."""
        return self.store._s3.list_objects_v2(Bucket=self.store.bucket, Prefix="sub/")["KeyCount"]


@pytest.fixture
def bench(store: Store, sender: Sender) -> Bench:
    sqs, name = boto3.client("sqs"), uuid.uuid4().hex
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES})
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "60"})["QueueUrl"]
    return Bench(store, sender, url, dead, Impatient(url))


@pytest.fixture
def event(report: Report) -> Detail:
    record = records.done(records.create(ID, URL, Options(), NOON), report, NOON + SECOND, records.GRACE)
    return events.detail(record, "bucket")


def test_callback_of_a_success_is_signed_for_standard_webhooks(bench: Bench, hooks: Hooks, event: Detail) -> None:
    bench.ask(f"{hooks.url}/hook?tenant=1")
    bench.put(event)
    bench.run()
    [callback] = hooks.posts
    assert callback.path == "/hook?tenant=1"
    [key] = KEYS.public()
    assert callback.signed_by(key)
    assert not replace(callback, body=callback.body + b" ").signed_by(key)
    assert callback.headers["content-type"] == "application/json"
    assert abs(int(callback.headers["webhook-timestamp"]) - time.time()) < 10
    assert callback.json["type"] == "shot.completed"
    assert callback.json["timestamp"] == "2026-01-02T12:00:01Z"
    data = callback.json["data"]
    assert (data["id"], data["url"], data["state"], data["report"]["title"]) == (ID, URL, "done", "Example")
    job = f"https://api.example/prod/pdf/{ID}"
    assert data["links"] == {
        "self": job,
        "file": "https://api.example/prod" + LINKS.path(ID),
        "report": f"{job}/report",
    }
    assert not {"bucket", "key", "event_key", "audience", "subscriptions"} & set(data)
    assert bench.left() == 0
    assert bench.dead() == []


def test_callback_of_a_failure_carries_its_error(bench: Bench, hooks: Hooks) -> None:
    error = {"code": "page_status", "detail": "The page answered 404.", "retryable": False}
    record = records.failed(records.create(ID, URL, Options(), NOON), error, NOON + SECOND, records.GRACE)
    bench.ask(f"{hooks.url}/hook")
    bench.put(events.detail(record, "bucket"))
    bench.run()
    [callback] = hooks.posts
    assert callback.json["type"] == "shot.failed"
    assert (callback.json["data"]["state"], callback.json["data"]["error"]) == ("failed", error)
    assert callback.json["data"]["links"] == {"self": f"https://api.example/prod/pdf/{ID}"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(bench: Bench, hooks: Hooks, event: Detail, status: int) -> None:
    hooks.answers["/moved"] = [status]
    bench.ask(f"{hooks.url}/moved")
    bench.put(event)
    bench.run(rounds=2)
    assert [callback.path for callback in hooks.posts] == ["/moved"]
    assert bench.left() == 1


def test_failed_callback_is_retried_with_the_same_id_after_longer_delays(
    bench: Bench, hooks: Hooks, event: Detail, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers["/hook"] = [500, 404, 429, 301]
    clock = iter(range(1_700_000_000, 1_700_000_100))
    monkeypatch.setattr("functions.callback.work.time", SimpleNamespace(time=lambda: next(clock)))
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.run()
    assert len(hooks.posts) == 5
    assert len({callback.headers["webhook-id"] for callback in hooks.posts}) == 1
    assert len({callback.headers["webhook-timestamp"] for callback in hooks.posts}) == 5
    assert all(callback.signed_by(KEYS.public()[0]) for callback in hooks.posts)
    for waited, delay in zip(bench.outbox.waits, DELAYS[:4], strict=True):
        assert 0.85 * delay <= waited <= 1.15 * delay
    assert bench.left() == 0


def test_callback_without_success_is_dead_lettered_and_can_be_moved_back(
    bench: Bench, hooks: Hooks, event: Detail
) -> None:
    hooks.answers["/dead"] = [500] * RECEIVES
    bench.ask(f"{hooks.url}/dead")
    bench.ask(f"{hooks.url}/alive")
    bench.put(event)
    bench.run()
    assert len(hooks.at("/alive")) == 1  # neither delayed nor called again
    assert len(hooks.at("/dead")) == RECEIVES
    assert bench.outbox.waits[-1] == 0
    assert sum(bench.outbox.waits) > 15 * 3600
    [letter] = bench.dead()
    assert letter["subscriber"]["address"] == f"{hooks.url}/dead"
    assert letter["event"]["event_key"] == event.event_key
    bench.sqs.send_message(QueueUrl=bench.url, MessageBody=json.dumps(letter))
    bench.run()
    assert len(hooks.at("/dead")) == RECEIVES + 1
    assert bench.left() == 0


def test_410_ends_the_subscription(bench: Bench, hooks: Hooks, event: Detail) -> None:
    hooks.answers["/hook"] = [410]
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.run()
    bench.put(event)
    bench.run()
    assert len(hooks.posts) == 1
    assert bench.left() == 0


def test_repeated_event_makes_one_callback(bench: Bench, hooks: Hooks, event: Detail) -> None:
    bench.ask(f"{hooks.url}/hook")
    for _ in range(3):  # before any callback is posted
        bench.put(event)
    bench.run()
    bench.put(event)
    bench.run()
    assert len(hooks.posts) == 1


def test_repeated_message_of_a_posted_callback_posts_nothing(
    bench: Bench, hooks: Hooks, event: Detail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function dies between the note that it posted and the deletion of the subscription."""
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.settle(bench.receive()[0])
    with monkeypatch.context() as patch:
        patch.setattr(SubscriptionStore, "delete", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        assert not bench.settle(bench.receive()[0])
    assert bench.left() == 1
    bench.run()
    assert len(hooks.posts) == 1
    assert bench.left() == 0


def test_two_concurrent_deliveries_make_one_post(bench: Bench, hooks: Hooks, event: Detail) -> None:
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.put(event)
    for record in bench.receive():
        bench.settle(record)
    first, second = bench.receive()
    others: list[bool] = []

    class Busy(Sender):
        async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
            others.append(await asyncio.to_thread(bench.settle, second))
            return await super().post(url, headers, body)

    busy = bench.worker(Busy(bench.sender.egress, bench.sender.tls))
    assert bench.settle(first, busy)
    assert others == [False]
    bench.run()
    assert len(hooks.posts) == 1
    assert bench.dead() == []


def test_repeated_event_leaves_later_subscriptions(bench: Bench, hooks: Hooks, event: Detail, report: Report) -> None:
    """The later subscription is from before the announcement of the older end, and waits for a newer render."""
    event = event.model_copy(update={"answers_until": NOON + 20 * SECOND})
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.run()
    bench.ask(f"{hooks.url}/hook", at=NOON + 10 * SECOND)
    bench.put(event)
    bench.run()
    assert (len(hooks.posts), bench.left()) == (1, 1)
    newer = records.done(
        records.create(ID, URL, Options(), NOON + 10 * SECOND), report, NOON + 12 * SECOND, records.GRACE
    )
    bench.put(events.detail(newer, "bucket"))
    bench.run()
    assert (len(hooks.posts), bench.left()) == (2, 0)


class Killed(BaseException):
    """Stands for a function that dies between the POST and the note of it."""


def test_callback_with_an_unfinished_claim_is_posted_again_with_its_id(
    bench: Bench, hooks: Hooks, event: Detail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.settle(bench.receive()[0])
    [record] = bench.receive()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Claims, "_mark", die)
        with pytest.raises(Killed):
            bench.worker().settle(record, context(seconds_left=0.3))
    while len(hooks.posts) == 1:  # the claim expires at the function's deadline, which nothing signals
        assert bench.settle(record) == (len(hooks.posts) == 2)
    assert len({callback.headers["webhook-id"] for callback in hooks.posts}) == 1
    assert [line for line in caplog.messages if "ambiguous" in line] == [
        "callback: ambiguous, may have been delivered before"
    ]


def test_two_events_for_one_subscription_make_one_callback(
    bench: Bench, hooks: Hooks, event: Detail, report: Report, sender: Sender
) -> None:
    """Both events answer a request that hits within seconds of the end: the event of the end, and the hit's own."""
    names = bench.ask(f"{hooks.url}/hook", at=NOON + SECOND)
    bench.put(event)
    bench.put(events.cached(ID, URL, "bucket", NOON + SECOND, report, only=names))
    for record in bench.receive():
        bench.settle(record)
    first, second = bench.receive()
    meanwhile: list[bool] = []

    class Slow(Sender):
        async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
            meanwhile.append(await asyncio.to_thread(bench.settle, second))
            return await sender.post(url, headers, body)

    worker = bench.worker(Slow(Egress(), ssl.create_default_context()))
    assert bench.settle(first, worker)
    assert meanwhile == [False]  # the other delivery is under way
    bench.run()
    assert (len(hooks.posts), bench.left()) == (1, 0)


def test_replayed_event_does_not_answer_a_later_subscription(bench: Bench, hooks: Hooks, event: Detail) -> None:
    bench.ask(f"{hooks.url}/hook", at=NOON + timedelta(minutes=5))
    bench.put(event)
    bench.run()
    assert hooks.posts == []
    assert bench.left() == 1


def test_hit_makes_another_callback_for_the_same_subscriber(
    bench: Bench, hooks: Hooks, event: Detail, report: Report
) -> None:
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.run()
    names = bench.ask(f"{hooks.url}/hook", at=NOON + timedelta(minutes=5))
    bench.put(events.cached(ID, URL, "bucket", NOON + timedelta(minutes=5), report, only=names))
    bench.run()
    assert [callback.json["data"]["cached"] for callback in hooks.posts] == [False, True]
    assert len({callback.headers["webhook-id"] for callback in hooks.posts}) == 2


def test_subscription_deleted_while_its_message_waits_gets_no_callback(
    bench: Bench, hooks: Hooks, event: Detail
) -> None:
    bench.ask(f"{hooks.url}/hook")
    bench.put(event)
    bench.settle(bench.receive()[0])
    bench.subs.delete_all(ID)
    bench.run()
    assert hooks.posts == []


def test_function_handles_the_example_event(bench: Bench, hooks: Hooks) -> None:
    event = json.loads((Path(__file__).parents[1] / "events" / "callback.json").read_text())
    bench.ask(f"{hooks.url}/hook")
    for record in event["Records"]:
        assert bench.worker().settle(record, context())
    bench.run()
    assert [callback.json["data"]["url"] for callback in hooks.posts] == [URL]


def test_unknown_message_is_dead_lettered(bench: Bench) -> None:
    bench.sqs.send_message(QueueUrl=bench.url, MessageBody='{"detail": 1}')
    bench.run()
    assert bench.dead() == [{"detail": 1}]


# ---- posts ---------------------------------------------------------------------------------------------------------


async def refused(sender: Sender, url: str) -> str:
    with pytest.raises(Undelivered) as caught:
        await sender.post(url, {}, b"{}")
    return str(caught.value)


def resolving(*addresses: str) -> Callable[[str, int], Any]:
    async def resolver(host: str, port: int) -> list[Found]:
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]

    return resolver


async def test_http_is_refused(sender: Sender, hooks: Hooks) -> None:
    assert "only https" in await refused(sender, f"http://localhost:{hooks.port}/")


@pytest.mark.parametrize("kind", PRIVATE_ADDRESSES)
async def test_name_with_a_private_address_is_refused(sender: Sender, kind: str) -> None:
    """The name is refused even if it also has a public address."""
    address = PRIVATE_ADDRESSES[kind]
    for addresses in ([address], ["93.184.216.34", address], [address, "2606:2800:220:1::1"]):
        closed = replace(sender, resolver=resolving(*addresses))
        assert "blocked_target" in await refused(closed, "https://hook.example/")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", [name for name, (_, code) in BYPASSES.items() if code == "blocked_target"])
async def test_stored_callback_to_a_published_bypass_is_refused(sender: Sender, name: str, scheme: str) -> None:
    """The request was checked already; the function that posts trusts no stored address."""
    canonical = ada_url.URL(BYPASSES[name][0]).href.replace("http:", f"{scheme}:", 1)
    expected = "blocked_target" if scheme == "https" else "only https"
    assert expected in await refused(replace(sender, resolver=resolving("93.184.216.34")), canonical)


@pytest.mark.parametrize("kind", ["loopback at another address", "private, class A", "metadata", "IPv4-mapped"])
async def test_name_that_rebinds_between_two_attempts_is_refused(tmp_path: Path, kind: str) -> None:
    """Each attempt looks the name up once, and connects to the address that it checked."""
    name, asked = "hook.example", 0
    hooks = Hooks(certificate(tmp_path, name), name)
    try:

        async def rebinding(host: str, port: int) -> list[Found]:
            nonlocal asked
            asked += 1
            return await resolving("127.0.0.1" if asked == 1 else PRIVATE_ADDRESSES[kind])(host, port)

        tls = ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem"))
        sender = Sender(Egress.of(f"127.0.0.1:{hooks.port}"), tls, rebinding)  # stands for a public address
        hooks.answers["/hook"] = [500]
        assert await sender.post(f"{hooks.url}/hook", {}, b"{}") == 500
        assert "blocked_target" in await refused(sender, f"{hooks.url}/hook")
        assert (asked, len(hooks.posts)) == (2, 1)
    finally:
        hooks.close()


async def test_own_host_is_refused(sender: Sender) -> None:
    own = replace(sender, egress=Egress.of(own=["api.example"]))
    assert "blocked_target" in await refused(own, "https://api.example/pdf")


async def test_certificate_must_match_the_name_and_have_a_trusted_issuer(
    hooks: Hooks, pem: Path, sender: Sender
) -> None:
    elsewhere = Sender(Egress.of(f"127.0.0.1:{hooks.port}"), sender.tls, resolving("127.0.0.1"))
    assert "tls_error" in await refused(elsewhere, f"https://hook.example:{hooks.port}/")
    assert "tls_error" in await refused(elsewhere, f"https://127.0.0.1:{hooks.port}/")
    unknown = replace(sender, tls=ssl.create_default_context())
    assert "tls_error" in await refused(unknown, f"{hooks.url}/")
    assert hooks.posts == []
    assert await sender.post(f"{hooks.url}/", {}, b"{}") == 204


async def test_silent_server_is_given_up(sender: Sender, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "ATTEMPT_SECONDS", 0.3)
    hooks.silent.add("/silent")
    began = time.monotonic()
    assert "no answer within" in await refused(sender, f"{hooks.url}/silent")
    assert time.monotonic() - began < 30


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@pytest.fixture
async def raw(pem: Path, sender: Sender) -> Any:
    """Returns a function that starts a TLS server with raw answers and returns a sender for it, and its URL."""
    servers = []

    async def start(answer: Answer) -> tuple[Sender, str]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return replace(sender, egress=Egress.of(f"localhost:{port}")), f"https://localhost:{port}/"

    yield start
    for server in servers:
        server.close()


async def write_forever(writer: asyncio.StreamWriter, chunk: bytes, pause: float = 0.0) -> None:
    while not writer.is_closing():
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(pause)


@pytest.mark.parametrize(
    ("sent", "pause", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 0.01, 200),  # an endless body
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n", 0.01, 202),
        (b"HTTP/1.1 200 OK\r\nx: ", 0.0, "the connection broke"),  # an endless head, fast
        (b"HTTP/1.1 200 OK\r\nx: ", 0.2, "no answer within"),  # an endless head, slow
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0.01, "the answer is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", 0.01, "the answer is not HTTP"),
    ],
)
async def test_post_ends_in_time_whatever_the_server_sends(
    raw: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes, pause: float, outcome: int | str
) -> None:
    monkeypatch.setattr(post, "ATTEMPT_SECONDS", 1.0)
    monkeypatch.setattr(post, "DROP_SECONDS", 0.2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"{}")
            writer.write(sent)
            await write_forever(writer, b"x" * (1 if pause else 65536), pause)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    sender, url = await raw(answer)
    began = time.monotonic()
    if isinstance(outcome, int):
        assert await sender.post(url, {}, b"{}") == outcome
    else:
        assert outcome in await refused(sender, url)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "path",
    [
        "a\r\nX-Evil: b?c\r\nX-Evil: d",
        "a HTTP/1.1\r\nX-Evil: b\r\n\r\nGET /smuggled",
        "a%0d%0aX-Evil:%20b?c%0d%0aX-Evil:%20d",
        "a?b HTTP/1.1 X-Evil: c",
        "\u560d\u560aX-Evil: b\x85\u2028\x00\x0b",
    ],
)
async def test_callback_url_adds_no_header_and_no_request(raw: Any, path: str) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    sender, url = await raw(answer)
    address = callback_subscriber(url + path, sender.egress, has_key=True, hosts=frozenset()).address
    assert await sender.post(address, {"webhook-id": "1"}, b"{}") == 200
    [request] = seen
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.decode("ascii").split("\r\n")
    assert re.fullmatch(r"POST /[!-~]* HTTP/1\.1", first)
    names = ["Host", "User-Agent", "Content-Type", "Content-Length", "Connection", "webhook-id"]
    assert ([field.partition(":")[0] for field in fields], body) == (names, b"{}")


async def test_server_that_closes_the_connection_is_an_error(raw: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert "the connection broke" in await refused(*await raw(answer))
