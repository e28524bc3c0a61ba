"""Lambda's entry: the talk's mail consumer."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.mail.text import Mail, compose
from urlshot.claims import S3Claims
from urlshot.events import Detail
from urlshot.logs import logger
from urlshot.settings import Settings
from urlshot.store import s3_client

if TYPE_CHECKING:
    from mypy_boto3_sesv2.client import SESV2Client

log = logger()

KEPT_SECONDS = 6 * 86_400
"""How long an event is remembered as mailed; longer than EventBridge or an archive's replay is likely to repeat it."""


class MailSettings(Settings):
    bucket: str
    mail_from: str
    mail_to: str
    public_url: str


class Mailer:
    """Sends each event's mail once, as far as that can be known."""

    def __init__(self, settings: MailSettings, ses: SESV2Client, claims: S3Claims) -> None:
        self._settings = settings
        self._ses = ses
        self._claims = claims
        self._config = IdempotencyConfig(
            event_key_jmespath="event_key", raise_on_no_idempotency_key=True, expires_after_seconds=KEPT_SECONDS
        )
        self._once = idempotent_function(
            self._send, data_keyword_argument="key", config=self._config, persistence_store=claims
        )

    def mail(self, detail: Detail, context: LambdaContext) -> None:
        """Mails an event unless that was done.

        Raises:
            botocore's errors: SES or S3 refused; the claim is given back, and Lambda comes again with the event.
        """
        self._config.register_lambda_context(context)
        before = self._claims.ambiguous
        sent = self._once(key={"event_key": detail.event_key}, mail=compose(detail, self._settings.public_url))
        if self._claims.ambiguous > before:
            log.warning("mail: ambiguous, may have been sent before", extra={"job_id": detail.id})
        log.info("mail: sent", extra={"job_id": detail.id, "event_key": detail.event_key, "message_id": sent})

    def _send(self, *, key: dict[str, str], mail: Mail) -> str:  # noqa: ARG002 - powertools reads the key
        answer = self._ses.send_email(
            FromEmailAddress=self._settings.mail_from,
            Destination={"ToAddresses": [self._settings.mail_to]},
            Content={
                "Simple": {
                    "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
                }
            },
        )
        return answer["MessageId"]


@cache
def bootstrap() -> Mailer:
    """Makes the mailer, once a process."""
    settings = MailSettings.read(os.environ)
    # One attempt: SES takes no idempotency token, so a retry after a lost answer would mail twice.
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})
    return Mailer(settings, boto3.client("sesv2", config=config), S3Claims(settings.bucket, s3_client()))


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    bootstrap().mail(Detail.model_validate(event["detail"]), context)
