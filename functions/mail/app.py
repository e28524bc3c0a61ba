"""Lambda's entry point of `mail`, the mail consumer of the talk."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.mail.text import Mail, compose
from urlshot.adapters.aws import with_debug_lines
from urlshot.adapters.claims import Busy, Claims
from urlshot.adapters.logs import logger
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import link_key
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.events import Detail
from urlshot.core.links import FileLinks
from urlshot.core.settings import Settings
from urlshot.core.subscriptions import Subscription

if TYPE_CHECKING:
    from mypy_boto3_sesv2.client import SESV2Client

log = logger()


class MailSettings(Settings):
    """Holds the settings of `mail`.

    `MAIL_TO` is empty if only subscribers get mail. `LINK_SECRET` is empty if the endpoint requires no API keys.
    """

    bucket: str
    mail_from: str
    mail_to: str = ""
    public_url: str
    link_secret: str = ""


class Mailer:
    """Mails each event to the operator and to each subscriber separately, once as far as can be known."""

    def __init__(
        self,
        settings: MailSettings,
        ses: SESV2Client,
        claims: Claims,
        subscriptions: SubscriptionStore,
        links: FileLinks,
    ) -> None:
        self._settings = settings
        self._ses = ses
        self._claims = claims
        self._subscriptions = subscriptions
        self._links = links

    def mail(self, detail: Detail, context: LambdaContext) -> None:
        """Mails an event to each recipient who has not got it; a failure does not affect the other recipients.

        Raises:
            Exception: the first error: SES or S3 failed, or another consumer mails the recipient at this moment. Lambda
                repeats the event.
        """
        mail = compose(detail, self._settings.public_url, self._links)
        recipients: list[tuple[str, str, tuple[Subscription, ...]]] = [
            (waiting.subscriber.address, waiting.subscriber.hash, waiting.subscriptions)
            for waiting in self._subscriptions.waiting(detail, "mail")
        ]
        if self._settings.mail_to and detail.audience == "everyone":
            recipients.insert(0, (self._settings.mail_to, "operator", ()))
        failed: list[Exception] = []
        for address, name, subscriptions in recipients:
            try:
                seconds = context.get_remaining_time_in_millis() / 1000
                answered = self._mail(detail, mail, address, name, [one.name for one in subscriptions], seconds)
                self._subscriptions.delete(one for one in subscriptions if one.name in answered)
            except Busy as error:  # harmless: the repeated event finds whether that mail was sent
                log.info("mail: another delivery is in progress", extra=_fields(detail, name))
                failed.append(error)
            except Exception as error:
                log.exception("mail: not sent", extra=_fields(detail, name))
                failed.append(error)
        if failed:
            raise failed[0]

    def _mail(
        self, detail: Detail, mail: Mail, address: str, name: str, subscriptions: list[str], seconds: float
    ) -> frozenset[str]:
        """Mails one address unless that was done before; returns the names of the subscriptions that are answered."""
        once = self._claims.once(
            f"mail/{name}", detail.event_key, subscriptions, seconds, lambda: self._send(mail, address)
        )
        if once.ambiguous:
            log.warning("mail: ambiguous, may have been sent before", extra=_fields(detail, name))
        if once.result is None:
            log.info("mail: was sent before", extra=_fields(detail, name))
        else:
            log.info("mail: sent", extra={**_fields(detail, name), "message_id": once.result})
        return once.answered

    def _send(self, mail: Mail, address: str) -> str:
        """Sends a mail and returns its id."""
        answer = self._ses.send_email(
            FromEmailAddress=self._settings.mail_from,
            Destination={"ToAddresses": [address]},
            Content={
                "Simple": {
                    "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
                }
            },
        )
        return answer["MessageId"]


def _fields(detail: Detail, name: str) -> dict[str, str]:
    """Returns the fields of a log line about a mail to the operator, or to the subscriber with the hash `name`."""
    return {"job_id": detail.id, "event_key": detail.event_key, "recipient": name}


@cache
def bootstrap() -> Mailer:
    """Makes the mailer once per process."""
    settings = MailSettings.read(os.environ)
    # One attempt: SES accepts no idempotency token, so a retry after a lost answer would send the mail twice.
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})
    s3 = s3_client()
    return Mailer(
        settings,
        with_debug_lines(boto3.client("sesv2", config=config)),
        Claims(settings.bucket, s3),
        SubscriptionStore(settings.bucket, s3),
        FileLinks(link_key(settings.link_secret)),
    )


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Mails one event of the bus."""
    bootstrap().mail(Detail.model_validate(event["detail"]), context)
