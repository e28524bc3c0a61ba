"""Clients of the services that every request may need, S3 and Secrets Manager, by botocore's own session.

boto3 makes its clients by the very same session, but its import brings the S3 transfer manager along, which nothing
here uses and every cold start would pay for: 35 ms of processor time of 270 for an S3 client (measured).
"""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from typing import Any, TypeVar, cast

import botocore.session
from botocore.config import Config

from urlshot.logs import logger

log = logger()
Client = TypeVar("Client")

_lock = threading.Lock()  # a session is not safe to share between threads (botocore's documentation)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def client(service: str, **config: Any) -> Any:
    """A client with short waits: 2 s to connect, 5 s to read, three attempts; `config` as botocore's Config has it."""
    waits = {
        "connect_timeout": 2,
        "read_timeout": 5,
        "retries": {"mode": "standard", "total_max_attempts": 3},
        "tcp_keepalive": True,
    }
    with _lock:
        return with_debug_lines(_session().create_client(service, config=Config(**{**waits, **config})))


def with_debug_lines(client: Client) -> Client:
    """Has every call of a client logged at DEBUG: service, operation, status, attempts and milliseconds, and nothing of
    its content. Returns the client."""
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
