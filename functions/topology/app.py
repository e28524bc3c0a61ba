"""Lambda's entry: a CloudFormation custom resource.

Create and update declare what the description says; whatever else is there stays, because it may hold messages. Delete
leaves everything alone: the messages are the owner's.
"""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from functions.topology.cloudformation import ANSWER_SECONDS, OutOfTime, answer, limited
from functions.topology.declare import declare
from functions.topology.description import Users, Wanted
from functions.topology.management import Management
from urlshot.errors import Broken, UrlshotError
from urlshot.logs import error_fields, logger
from urlshot.secrets import read_credentials
from urlshot.settings import Settings

log = logger()

SLACK_SECONDS = 20.0
"""By how much waiting for old shards ends before everything is broken off, so that it can say what it waits for."""


_OUT_OF_TIME = (
    "See in the log how far it came, and whether the broker is well; then update the stack again: what is declared "
    "already is no hindrance."
)


class TopologySettings(Settings):
    broker_console: str
    broker_admin_secret: str
    broker_api_secret: str
    broker_dispatch_secret: str
    broker_watch_secret: str


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Does what CloudFormation asks, and always answers it before the function's time is out.

    The answer's reason says what to do. No password is in it, nor in the log.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - ANSWER_SECONDS
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            with limited(seconds):
                _declare(event["ResourceProperties"], seconds - SLACK_SECONDS)
    except OutOfTime:
        log.exception("topology: out of time")
        status, reason = "FAILED", f"Not done after {seconds:.0f} s. {_OUT_OF_TIME}"
    except UrlshotError as error:
        log.exception("topology: failed", extra=error_fields(error))
        status, reason = "FAILED", error.internal or error.detail
    except Exception as error:
        log.exception("topology: failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    answer(event, status, f"{reason[:1000]} (log stream {context.log_stream_name})".lstrip())
    return {"status": status}


def _declare(properties: dict[str, Any], seconds: float) -> None:
    try:
        wanted = Wanted.model_validate(properties)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise Broken(f"The property {first['loc'][0]}: {first['msg']}. Correct it in the template.") from error
    settings = TopologySettings.read(os.environ)
    management = Management(settings.broker_console, read_credentials(settings.broker_admin_secret))
    users = Users(
        api=read_credentials(settings.broker_api_secret),
        dispatch=read_credentials(settings.broker_dispatch_secret),
        watch=read_credentials(settings.broker_watch_secret),
    )
    calls = declare(management, wanted, users, seconds)
    log.info("topology: declared", extra={**wanted.model_dump(), "calls": calls})
