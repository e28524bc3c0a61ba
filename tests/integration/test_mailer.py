"""A mail for each event once, as far as that can be known: powertools' idempotency over real conditional writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.mail.app import Mailer, MailSettings
from urlshot.claims import S3Claims
from urlshot.events import Detail
from urlshot.jobs import Report
from urlshot.store import Store, s3_client

SETTINGS = MailSettings(bucket="", mail_from="from@example.com", mail_to="to@example.com", public_url="https://a")


class Killed(BaseException):
    """The function is gone between sending and noting that it sent."""


class Post:
    """SES as moto has it, which counts, and dies after sending if told so."""

    def __init__(self) -> None:
        self._ses = boto3.client("sesv2")
        boto3.client("ses").verify_email_identity(EmailAddress="from@example.com")
        self.sent = 0
        self.dies: BaseException | None = None
        self.fails: Exception | None = None

    def send_email(self, **mail: Any) -> Any:
        if self.fails is not None:
            raise self.fails
        answer = self._ses.send_email(**mail)
        self.sent += 1
        if self.dies is not None:
            raise self.dies
        return answer


@pytest.fixture
def mailer(store: Store) -> Callable[[Post], tuple[Mailer, S3Claims]]:
    """Makes mailers as fresh processes would: each with claims of its own, over the same bucket."""

    def make(post: Post) -> tuple[Mailer, S3Claims]:
        claims = S3Claims(store.bucket, s3_client())
        return Mailer(SETTINGS, cast("Any", post), claims), claims

    return make


def context(seconds_left: float = 20.0) -> LambdaContext:
    return cast("LambdaContext", SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds_left * 1000)))


@pytest.fixture
def detail(report: Report) -> Detail:
    return Detail.model_validate(
        {
            "event_key": "x:y:done", "id": "x", "url": "https://example.com/", "bucket": "b", "key": "pdf/x.pdf",
            "report": report, "error": None, "attempts": 1, "cached": False, "requested_at": "2026-01-02T03:04:05Z",
            "finished_at": "2026-01-02T03:04:06Z", "queue_seconds": 0.5, "render_seconds": 0.5,
        }
    )  # fmt: skip


Make = Callable[[Post], tuple[Mailer, S3Claims]]


def test_an_event_that_comes_again_is_mailed_once(mailer: Make, detail: Detail, store: Store) -> None:
    post = Post()
    for _ in range(3):
        mailer(post)[0].mail(detail, context())
    assert post.sent == 1
    [claim] = boto3.client("s3").list_objects_v2(Bucket=store.bucket, Prefix="claim/")["Contents"]
    body = json.loads(boto3.client("s3").get_object(Bucket=store.bucket, Key=claim["Key"])["Body"].read())
    assert body["status"] == "COMPLETED"


def test_two_events_are_two_mails(mailer: Make, detail: Detail) -> None:
    post = Post()
    one, _ = mailer(post)
    one.mail(detail, context())
    one.mail(detail.model_copy(update={"event_key": "x:z:done"}), context())
    assert post.sent == 2


def test_what_was_refused_is_tried_again(mailer: Make, detail: Detail) -> None:
    post = Post()
    post.fails = RuntimeError("throttled")
    with pytest.raises(RuntimeError):
        mailer(post)[0].mail(detail, context())
    post.fails = None
    mailer(post)[0].mail(detail, context())
    assert post.sent == 1


def test_a_claim_that_was_never_marked_is_left_while_it_may_live_then_mailed_again_and_counted(
    mailer: Make, detail: Detail
) -> None:
    post = Post()
    post.dies = Killed()
    with pytest.raises(Killed):
        mailer(post)[0].mail(detail, context(seconds_left=0.5))
    post.dies = None
    second, claims = mailer(post)
    with pytest.raises(IdempotencyAlreadyInProgressError):  # Lambda comes again with the event
        second.mail(detail, context())
    # The claim ends when its function had to be done; there is no event to wait for, only the clock.
    while post.sent == 1:
        try:
            second.mail(detail, context())
        except IdempotencyAlreadyInProgressError:
            continue
    assert post.sent == 2
    assert claims.ambiguous == 1
