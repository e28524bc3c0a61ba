"""Makes clients of AWS services from a session of botocore, without boto3.

boto3 makes its clients from the same kind of session, but importing it also imports the S3 transfer manager, which
nothing here uses.

By default, botocore builds the User-Agent header again for each request, and parses dates with dateutil. A fixed header
and a parser for HTTP dates save a seventh of the processor time of a HEAD (measured).
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar, cast

import botocore
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from urlshot.adapters.logs import logger

log = logger()
_USER_AGENT = f"urlshot botocore/{botocore.__version__}"
Client = TypeVar("Client")

_lock = threading.Lock()  # sessions are not thread-safe (botocore's documentation)


@cache
def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


def _timestamp(value: Any) -> datetime:
    """Parses a time in an answer: an HTTP date (RFC 9110, section 5.6.7), or any other form that botocore knows."""
    if isinstance(value, str) and value.endswith(" GMT"):
        return parsedate_to_datetime(value)
    parsed: datetime = parse_timestamp(value)
    return parsed


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
        "user_agent": _USER_AGENT,
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
