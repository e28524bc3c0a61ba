"""Lambda's entry: a CloudFormation custom resource.

Create and update declare what the description says; whatever else is there stays, because it may hold messages. Delete
leaves everything alone: the messages are the owner's.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from functions.topology.description import describe
from functions.topology.management import Management
from urlshot.errors import UrlshotError
from urlshot.logs import error_fields, logger
from urlshot.messages import Delays
from urlshot.secrets import read_credentials
from urlshot.settings import Settings

log = logger()


class TopologySettings(Settings):
    broker_console: str
    broker_admin_secret: str
    broker_api_secret: str
    broker_dispatch_secret: str
    broker_watch_secret: str


class Properties(BaseModel):
    """The custom resource's properties; CloudFormation sends every value as a string."""

    shards: int = Field(alias="Shards", ge=1, le=64)
    delays: Delays = Field(alias="RetryDelays")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Does what CloudFormation asks, and always answers it: a stack that hears nothing hangs for an hour."""
    try:
        if event["RequestType"] != "Delete":
            _declare(Properties.model_validate(event["ResourceProperties"]))
        status, reason = "SUCCESS", ""
    except UrlshotError as error:
        log.exception("topology: failed", extra=error_fields(error))
        status, reason = "FAILED", error.internal or error.detail
    except Exception as error:
        log.exception("topology: failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    _answer(event, status, f"{reason[:1000]} (log stream {context.log_stream_name})")
    return {"status": status}


def _declare(properties: Properties) -> None:
    settings = TopologySettings.read(os.environ)
    management = Management(settings.broker_console, read_credentials(settings.broker_admin_secret))
    calls = 0
    for call in describe(
        properties.shards,
        properties.delays,
        api=read_credentials(settings.broker_api_secret),
        dispatch=read_credentials(settings.broker_dispatch_secret),
        watch=read_credentials(settings.broker_watch_secret),
    ):
        management.carry_out(call)
        calls += 1
    log.info("topology: declared", extra={"shards": properties.shards, "delays": properties.delays, "calls": calls})


def _answer(event: dict[str, Any], status: str, reason: str) -> None:
    """Puts the answer where CloudFormation waits for it (user guide, "Custom resource response objects")."""
    body = {
        "Status": status,
        "Reason": reason,
        # One id for the life of the resource: another would have CloudFormation delete "the old one".
        "PhysicalResourceId": event.get("PhysicalResourceId", "urlshot-topology"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own presigned address
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - as above
        pass
