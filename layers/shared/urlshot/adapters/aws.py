"""Makes clients of AWS services from a session of botocore, without boto3.

boto3 makes its clients from the same kind of session, but importing it also imports the S3 transfer manager. Nothing
here uses that, and it takes 35 of the 270 ms of processor time that an S3 client takes at a cold start (measured).
"""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from typing import Any, TypeVar, cast

import botocore.session
from botocore.config import Config

from urlshot.adapters.logs import logger

log = logger()
Client = TypeVar("Client")

_lock = threading.Lock()  # sessions are not thread-safe (botocore's documentation)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def client(service: str, **config: Any) -> Any:
    """Makes a client with short waits: 2 s to connect, 5 s to read, three attempts.

    Args:
        service: The name of the service, such as `s3`.
        config: More arguments of botocore's `Config`.
    """
    waits = {
        "connect_timeout": 2,
        "read_timeout": 5,
        "retries": {"mode": "standard", "total_max_attempts": 3},
        "tcp_keepalive": True,
    }
    with _lock:
        return with_debug_lines(_session().create_client(service, config=Config(**{**waits, **config})))


def with_debug_lines(client: Client) -> Client:
    """Logs every call of a client at DEBUG, and returns the client.

    The lines have the service, operation, status, attempts and milliseconds, but none of the content.
    """
    if logging.getLogger(log.name).isEnabledFor(logging.DEBUG):
        events = cast("Any", client).meta.events
        events.register("before-call", _begin)
        events.register("after-call", _answered)
        events.register("after-call-error", _failed)
    return client


def _begin(context: dict[str, Any], **_: Any) -> None:
    context["urlshot_began"] = time.monotonic()


def _answered(model: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    metadata = parsed.get("ResponseMetadata", {})
    _log_call(model, context, status=metadata.get("HTTPStatusCode"), attempts=metadata.get("RetryAttempts", 0) + 1)


def _failed(model: Any, exception: Exception, context: dict[str, Any], **_: Any) -> None:
    _log_call(model, context, error=type(exception).__name__)


def _log_call(model: Any, context: dict[str, Any], **fields: Any) -> None:
    took = round((time.monotonic() - context["urlshot_began"]) * 1000, 1)
    call = {"service": model.service_model.service_name, "operation": model.name}
    log.debug("aws: called", extra={**call, **fields, "milliseconds": took})
