"""Tests that each event is mailed once, as far as this can be known, over moto's S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.mail.app import Mailer, MailSettings
from urlshot.adapters.claims import Busy, Claims
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.store import Store
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core import events
from urlshot.core.events import Detail
from urlshot.core.links import FileLinks
from urlshot.core.render_contract import Report
from urlshot.core.subscriptions import Subscriber

ID = "0caaf24ab1a0c33440c06afe99df986365b0781f"
SETTINGS = MailSettings(bucket="", mail_from="from@example.com", mail_to="to@example.com", public_url="https://a")


class Killed(BaseException):
    """Stands for a function that dies between the mail and the note of it."""


class Post:
    """moto's SES with counters. It can fail before a mail (`fails`, `refuses`) or die after it (`dies`)."""

    def __init__(self) -> None:
        self._ses = boto3.client("sesv2")
        boto3.client("ses").verify_email_identity(EmailAddress="from@example.com")
        self.sent = 0
        self.to: list[str] = []
        self.refuses: set[str] = set()
        self.dies: BaseException | None = None
        self.fails: Exception | None = None

    def send_email(self, **mail: Any) -> Any:
        if self.fails is not None:
            raise self.fails
        [address] = mail["Destination"]["ToAddresses"]  # one address only, so that no recipient sees the others
        if address in self.refuses:
            raise RuntimeError(f"{address} is refused")
        answer = self._ses.send_email(**mail)
        self.sent += 1
        self.to.append(address)
        if self.dies is not None:
            raise self.dies
        return answer


@pytest.fixture
def mailer(store: Store) -> Callable[[Post], Mailer]:
    """Returns a function that makes mailers as new processes do: each with its own claims, on the same bucket."""

    def make(post: Post) -> Mailer:
        claims = Claims(store.bucket, s3_client())
        subscribers = SubscriptionStore(store.bucket, s3_client())
        return Mailer(SETTINGS, cast("Any", post), claims, subscribers, FileLinks(None))

    return make


def context(seconds_left: float = 20.0) -> LambdaContext:
    return cast("LambdaContext", SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds_left * 1000)))


@pytest.fixture
def detail(report: Report) -> Detail:
    return Detail.model_validate(
        {
            "event_key": f"{ID}:y:done", "id": ID, "url": "https://example.com/", "bucket": "b", "key": f"pdf/{ID}.pdf",
            "report": report, "error": None, "attempts": 1, "cached": False, "requested_at": "2026-01-02T03:04:05Z",
            "finished_at": "2026-01-02T03:04:06Z", "queue_seconds": 0.5, "render_seconds": 0.5,
        }
    )  # fmt: skip


Make = Callable[[Post], Mailer]


def test_repeated_event_is_mailed_once(mailer: Make, detail: Detail, store: Store) -> None:
    post = Post()
    for _ in range(3):
        mailer(post).mail(detail, context())
    assert post.sent == 1
    [claim] = boto3.client("s3").list_objects_v2(Bucket=store.bucket, Prefix="claim/")["Contents"]
    body = json.loads(boto3.client("s3").get_object(Bucket=store.bucket, Key=claim["Key"])["Body"].read())
    assert (body["event"], body["sent"]) == (detail.event_key, True)


def test_two_events_make_two_mails(mailer: Make, detail: Detail) -> None:
    post = Post()
    one = mailer(post)
    one.mail(detail, context())
    one.mail(detail.model_copy(update={"event_key": f"{ID}:z:done"}), context())
    assert post.sent == 2


def subscribe(store: Store, *addresses: str) -> tuple[str, ...]:
    who = [Subscriber(kind="mail", address=address) for address in addresses]
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with SubscriptionStore(store.bucket, s3_client()).asking(ID, who, at) as names:
        return names


def test_subscribers_and_operator_each_get_their_own_mail(mailer: Make, detail: Detail, store: Store) -> None:
    subscribe(store, "a@example.com", "b@example.com")
    subscribe(store, "a@example.com")  # asked twice
    post = Post()
    for _ in range(2):
        mailer(post).mail(detail, context())
    assert sorted(post.to) == ["a@example.com", "b@example.com", "to@example.com"]
    assert store._s3.list_objects_v2(Bucket=store.bucket, Prefix="sub/")["KeyCount"] == 0


def test_two_events_for_one_subscription_make_one_mail(mailer: Make, detail: Detail, store: Store) -> None:
    """Both events answer a request that hits within seconds of the end: the event of the end, and the hit's own."""
    names = subscribe(store, "a@example.com")
    own = {"event_key": f"{ID}:z:cached", "cached": True, "subscriptions": names, "audience": "subscribers"}
    hit = detail.model_copy(update=own)

    class Slow(Post):
        def send_email(self, **mail: Any) -> Any:
            if mail["Destination"]["ToAddresses"] == ["a@example.com"]:
                with pytest.raises(Busy):
                    mailer(post).mail(hit, context())
            return super().send_email(**mail)

    post = Post()
    mailer(Slow()).mail(detail, context())
    mailer(post).mail(hit, context())
    assert post.to == []
    assert store._s3.list_objects_v2(Bucket=store.bucket, Prefix="sub/")["KeyCount"] == 0


def test_mail_that_another_consumer_sends_now_is_no_error_in_the_log(
    mailer: Make, detail: Detail, caplog: pytest.LogCaptureFixture
) -> None:
    """Lambda repeats the event, so the function raises all the same."""
    outcomes: list[BaseException] = []

    class Slow(Post):
        def send_email(self, **mail: Any) -> Any:
            with pytest.raises(Busy) as caught:
                mailer(Post()).mail(detail, context())
            outcomes.append(caught.value)
            return super().send_email(**mail)

    mailer(Slow()).mail(detail, context())
    assert len(outcomes) == 1
    [line] = [line for line in caplog.records if "in progress" in line.getMessage()]
    assert (line.levelname, vars(line)["job_id"], vars(line)["recipient"]) == ("INFO", ID, "operator")
    assert [line.getMessage() for line in caplog.records if line.levelname in ("WARNING", "ERROR")] == []


def test_repeated_event_leaves_later_subscriptions(mailer: Make, detail: Detail, store: Store) -> None:
    """The later subscription is from before the older end, but waits for a newer render."""
    post = Post()
    subscribe(store, "a@example.com")
    mailer(post).mail(detail, context())
    subscribe(store, "a@example.com")
    mailer(post).mail(detail, context())
    mailer(post).mail(detail.model_copy(update={"event_key": f"{ID}:z:done"}), context())
    assert sorted(post.to) == ["a@example.com"] * 2 + ["to@example.com"] * 2
    assert store._s3.list_objects_v2(Bucket=store.bucket, Prefix="sub/")["KeyCount"] == 0


def test_event_for_subscribers_only_is_not_mailed_to_the_operator(
    mailer: Make, detail: Detail, store: Store, report: Report
) -> None:
    names = subscribe(store, "a@example.com")
    post = Post()
    hit = events.cached(ID, detail.url, "b", detail.finished_at, report, only=names)
    mailer(post).mail(hit, context())
    assert post.to == ["a@example.com"]


def test_subscribers_get_mails_when_the_operator_wants_none(
    mailer: Make, detail: Detail, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(store, "a@example.com")
    monkeypatch.setitem(globals(), "SETTINGS", SETTINGS.model_copy(update={"mail_to": ""}))
    post = Post()
    mailer(post).mail(detail, context())
    assert post.to == ["a@example.com"]


@pytest.mark.parametrize("refused", ["to@example.com", "a@example.com"])
def test_refused_address_does_not_keep_mails_from_the_others(
    mailer: Make, detail: Detail, store: Store, refused: str
) -> None:
    subscribe(store, "a@example.com", "b@example.com")
    post = Post()
    post.refuses = {refused}
    everyone = {"a@example.com", "b@example.com", "to@example.com"}
    with pytest.raises(RuntimeError):  # Lambda invokes the function again with the event
        mailer(post).mail(detail, context())
    assert set(post.to) == everyone - {refused}
    post.refuses = set()
    mailer(post).mail(detail, context())
    assert sorted(post.to) == sorted(everyone)


def test_refused_mail_is_sent_again(mailer: Make, detail: Detail) -> None:
    post = Post()
    post.fails = RuntimeError("throttled")
    with pytest.raises(RuntimeError):
        mailer(post).mail(detail, context())
    post.fails = None
    mailer(post).mail(detail, context())
    assert post.sent == 1


def test_mail_with_an_unfinished_claim_is_sent_again_after_its_deadline(
    mailer: Make, detail: Detail, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post()
    post.dies = Killed()
    with pytest.raises(Killed):
        mailer(post).mail(detail, context(seconds_left=0.5))
    post.dies = None
    second = mailer(post)
    with pytest.raises(Busy):  # Lambda invokes the function again with the event
        second.mail(detail, context())
    # The claim expires at the function's deadline, which nothing signals.
    while post.sent == 1:
        try:
            second.mail(detail, context())
        except Busy:
            continue
    assert post.sent == 2
    assert [line for line in caplog.messages if "ambiguous" in line] == ["mail: ambiguous, may have been sent before"]
