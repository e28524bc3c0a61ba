"""Lambda's entry point of `topology`, a CloudFormation custom resource.

Create and update declare everything in the description and remove nothing, because a queue may hold messages. Delete
does nothing, because the messages belong to the owner of the broker.
"""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from functions.topology.cloudformation import ANSWER_SECONDS, OutOfTime, answer, limited
from functions.topology.description import Users, Wanted, describe
from functions.topology.management import Management
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.secrets import read_credentials
from urlshot.core.errors import Broken, UrlshotError
from urlshot.core.settings import Settings

log = logger()

_OUT_OF_TIME = (
    "The log shows how far the function came. Check that the broker is running, then update the stack again. Queues "
    "that exist already do no harm."
)


class TopologySettings(Settings):
    """Holds the settings of `topology`: the management API's address, and the names of the users' secrets."""

    broker_console: str
    broker_admin_secret: str
    broker_api_secret: str
    broker_dispatch_secret: str
    broker_settle_secret: str
    broker_watch_secret: str


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Carries out a request of CloudFormation, and answers it before the function times out.

    The reason in the answer says what went wrong and what to do. Neither the reason nor the log contains a password.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - ANSWER_SECONDS
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            with limited(seconds):
                _declare(event["ResourceProperties"])
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


def _declare(properties: dict[str, Any]) -> None:
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
        settle=read_credentials(settings.broker_settle_secret),
        watch=read_credentials(settings.broker_watch_secret),
    )
    for call in describe(wanted, users):
        management.carry_out(call)
    log.info("topology: declared", extra=wanted.model_dump())
