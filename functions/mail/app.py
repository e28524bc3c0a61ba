"""Lambda's entry point of `mail`, the mail consumer of the talk."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.mail.text import Mail, compose
from urlshot.adapters.aws import with_debug_lines
from urlshot.adapters.idempotency import S3PersistenceLayer
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

KEPT_SECONDS = 6 * 86_400
"""How long a sent mail is remembered: for longer than EventBridge or a replay is likely to repeat its event."""


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
        claims: S3PersistenceLayer,
        subscriptions: SubscriptionStore,
        links: FileLinks,
    ) -> None:
        self._settings = settings
        self._ses = ses
        self._claims = claims
        self._subscriptions = subscriptions
        self._links = links
        self._config = IdempotencyConfig(
            event_key_jmespath="event_key", raise_on_no_idempotency_key=True, expires_after_seconds=KEPT_SECONDS
        )
        self._once_for_event = self._once(self._send_for_event)
        self._once_for_subscription = self._once(self._send)

    def _once(self, send: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Wraps `send` so that it runs once for each value of its argument `key`."""
        once: Callable[..., dict[str, Any]] = idempotent_function(
            send,
            data_keyword_argument="key",
            config=self._config,
            persistence_store=self._claims,
            key_prefix="mail",
        )
        return once

    def mail(self, detail: Detail, context: LambdaContext) -> None:
        """Mails an event to each recipient who has not got it; a failure does not affect the other recipients.

        Raises:
            Exception: the first error, if SES or S3 failed; the claim is released, and Lambda repeats the event.
        """
        self._config.register_lambda_context(context)
        mail = compose(detail, self._settings.public_url, self._links)
        recipients: list[tuple[str, str, tuple[Subscription, ...]]] = []
        if self._settings.mail_to and detail.audience == "everyone":
            recipients.append((self._settings.mail_to, detail.event_key, ()))
        for waiting in self._subscriptions.waiting(detail, "mail"):
            subscriber = waiting.subscriber
            recipients.append((subscriber.address, f"{detail.event_key}:{subscriber.hash}", waiting.subscriptions))
        failed: list[Exception] = []
        for address, key, subscriptions in recipients:
            try:
                answered = self._mail(detail, mail, address, key, [one.name for one in subscriptions])
                self._subscriptions.delete(one for one in subscriptions if one.name in answered)
            except Exception as error:
                log.exception("mail: not sent", extra={"job_id": detail.id, "event_key": key})
                failed.append(error)
        if failed:
            raise failed[0]

    def _mail(self, detail: Detail, mail: Mail, address: str, key: str, names: list[str]) -> list[str]:
        """Mails one address unless that was done before; returns the names of the subscriptions that are answered."""
        before = self._claims.ambiguous
        fields = {"job_id": detail.id, "event_key": key}
        sent = self._once_for_event(key={"event_key": key}, mail=mail, address=address, names=names)
        if self._claims.ambiguous > before:
            log.warning("mail: ambiguous, may have been sent before", extra=fields)
        log.info("mail: sent", extra={**fields, "message_id": sent["message_id"]})
        return list(sent["answered"])

    def _send_for_event(
        self,
        *,
        key: dict[str, str],  # noqa: ARG002 - powertools reads it
        mail: Mail,
        address: str,
        names: list[str],
    ) -> dict[str, Any]:
        """Sends unless other events have answered all of these subscriptions.

        The event of an end, and that of a hit right after it, can answer the same subscription. An earlier event may
        have answered the first ones, and its consumer may have died before it deleted them; the others still wait.
        """
        if not names:
            return self._send(key={}, mail=mail, address=address, names=names)
        answered: list[str] = []
        while left := [one for one in names if one not in answered]:
            sent = self._once_for_subscription(key={"event_key": left[0]}, mail=mail, address=address, names=left)
            answered += sent["answered"]
        return {"message_id": sent["message_id"], "answered": answered}

    def _send(
        self,
        *,
        key: dict[str, str],  # noqa: ARG002 - powertools reads it
        mail: Mail,
        address: str,
        names: list[str],
    ) -> dict[str, Any]:
        """Sends a mail and returns its id and `names`, the subscriptions that it answers.

        The claim stores the result, so that a repetition knows which subscriptions are answered.
        """
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
        return {"message_id": answer["MessageId"], "answered": names}


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
        S3PersistenceLayer(settings.bucket, s3),
        SubscriptionStore(settings.bucket, s3),
        FileLinks(link_key(settings.link_secret)),
    )


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Mails one event of the bus."""
    bootstrap().mail(Detail.model_validate(event["detail"]), context)
