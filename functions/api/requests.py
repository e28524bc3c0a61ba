"""Reads requests for PDFs; an error names the field that is wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.api.http import Call
from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected
from urlshot.core.identity import job_id, private_id, target
from urlshot.core.messages import Priority
from urlshot.core.options import Options, defaults, invalid
from urlshot.core.private import Private, no_secrets
from urlshot.core.records import now
from urlshot.core.subscription_rules import callback_subscriber, mail_subscriber
from urlshot.core.subscriptions import Subscriber
from urlshot.lifecycle.accept import Request

MAX_BODY = 64_000
"""The maximum size of a request's body in bytes."""

MAX_BATCH = 100
"""The maximum number of requests in a batch."""

MAX_BATCH_BODY = 1_000_000
"""The maximum size of a batch's body in bytes."""

MAX_HOPS = 6
"""How often GET /pdf redirects a client to the same request. With waits of 25 s this is longer than a render and its
time in the queue usually take."""

_YES_NO = {"true": True, "1": True, "false": False, "0": False}


class Asked(BaseModel):
    """Holds the body of POST /pdf; `private` makes the job private: no other request joins it or gets its PDF."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)

    url: str
    options: Options = Field(default_factory=defaults)
    private: Private = Field(default_factory=no_secrets)
    max_age: int | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="The maximum age in seconds of an existing PDF that may answer the request. 0 asks for a new one.",
    )
    callback_url: str | None = Field(
        default=None,
        description="The https URL to which the end of the job is posted, signed as Standard Webhooks specifies.",
    )
    notify: str | None = Field(
        default=None,
        description="The mail address to which the end of the job is reported. The operator must allow it.",
    )
    priority: Priority | None = Field(
        default=None,
        description="`bulk` jobs wait behind `normal` ones and leave some renderers free for them. "
        "The default is `normal`; in a batch it is `bulk`.",
    )


@dataclass(frozen=True)
class Rules:
    """Holds the deployment's rules for requests; a PDF of up to `max_age` seconds answers a request without an age."""

    egress: Egress
    max_age: int
    callback_hosts: frozenset[str] = frozenset()
    notify_allow: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """Holds a request and its subscribers."""

    request: Request
    subscribers: tuple[Subscriber, ...] = ()


def from_body(call: Call, rules: Rules) -> Wanted:
    """Reads the body of POST /pdf.

    Raises:
        Rejected: the request is wrong; the error names the field.
    """
    return from_value(_object(call, MAX_BODY), call, rules)


def batch_of(call: Call) -> list[object]:
    """Reads the body of POST /pdf/batch and returns its `requests` unchecked; `from_value` reads each.

    Raises:
        Rejected: the body is wrong; the error names the field.
    """
    value = _object(call, MAX_BATCH_BODY)
    found = value.pop("requests", None)
    if value:
        name = next(iter(value))[:50]
        raise Rejected("invalid_request", f"{name}: is unknown.", field=name)
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_BATCH:
        raise Rejected("invalid_request", f"requests: must be a list of 1 to {MAX_BATCH} requests.", field="requests")
    return found


def from_value(value: object, call: Call, rules: Rules, priority: Priority = "normal") -> Wanted:
    """Reads one request from a JSON value.

    Args:
        value: the value, which should be an object as in the body of POST /pdf.
        call: the HTTP request that contains it.
        rules: the deployment's rules.
        priority: the priority if the request names none.

    Raises:
        Rejected: the request is wrong; the error names the field.
    """
    if not isinstance(value, dict):
        raise Rejected("invalid_request", 'The request is not a JSON object such as {"url": "https://…"}.')
    try:
        asked = Asked.model_validate(value)
    except ValidationError as error:
        raise invalid(error) from error
    where = target(asked.url, rules.egress)
    if (where.host.rstrip("."), where.port) == call.own:  # printing our own endpoint could make requests in a loop
        raise Rejected("blocked_target", f"{where.host} is this service itself.", field="url")
    request = Request(
        id=private_id() if asked.private else job_id(where.url, asked.options.changed()),
        url=where.url,
        options=asked.options,
        max_age=rules.max_age if asked.max_age is None else asked.max_age,
        at=now(),
        private=asked.private,
        correlation_id=call.request_id,
        priority=asked.priority or priority,
    )
    return Wanted(request, tuple(_subscribers(asked, call, rules)))


def from_query(call: Call, rules: Rules) -> tuple[Wanted, int]:
    """Reads the query of GET /pdf: `url`, `max_age`, options by their names, and `hops`.

    Returns:
        The request, and how often the client has been redirected to it.

    Raises:
        Rejected: the request is wrong; the error names the parameter.
    """
    query = dict(call.query)
    if "url" not in query:
        raise Rejected(
            "invalid_request", "url: is missing. Example: /pdf?url=https%3A%2F%2Fexample.com%2F", field="url"
        )
    hops = _integer(query.pop("hops", "0"), "hops")
    if not 0 <= hops <= MAX_HOPS:
        raise Rejected("invalid_request", f"hops: must be from 0 to {MAX_HOPS}.", field="hops")
    value: dict[str, Any] = {"url": query.pop("url")}
    if "max_age" in query:
        value["max_age"] = _integer(query.pop("max_age"), "max_age")
    options: dict[str, Any] = {}
    for name, text in query.items():
        if name not in Options.model_fields:
            raise Rejected(
                "invalid_request",
                f"{name[:50]}: is unknown. If it belongs to the page's URL, percent-encode that URL.",
                field=name[:50],
            )
        options[name] = _typed(name, text)
    if options:
        value["options"] = options
    return from_value(value, call, rules), hops


def _subscribers(asked: Asked, call: Call, rules: Rules) -> Iterator[Subscriber]:
    if asked.callback_url is not None:
        has_key = call.key_id is not None
        yield callback_subscriber(asked.callback_url, rules.egress, has_key=has_key, hosts=rules.callback_hosts)
    if asked.notify is not None:
        yield mail_subscriber(asked.notify, rules.notify_allow)


def _object(call: Call, most: int) -> dict[str, Any]:
    """Reads the body, which must be a JSON object of at most `most` bytes."""
    try:
        data = base64.b64decode(call.body, validate=True) if call.is_base64 else call.body.encode()
    except ValueError as error:  # binascii.Error and UnicodeError are such errors
        raise Rejected("invalid_json") from error
    if len(data) > most:
        raise Rejected("body_too_large", f"The body has {len(data)} bytes; {most} are allowed.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_json") from error
    if not isinstance(value, dict):
        raise Rejected("invalid_json", "The body is JSON but not an object.")
    return value


def _typed(name: str, text: str) -> bool | float | str | list[str]:
    """Converts a query parameter to the type of its option; a list is written with commas.

    Raises:
        Rejected: `invalid_request`: the text does not fit the type, or the option has fields and needs a body.
    """
    default = Options.model_fields[name].default
    if isinstance(default, bool):
        if text not in _YES_NO:
            raise Rejected("invalid_request", f"{name}: must be true or false.", field=name)
        return _YES_NO[text]
    if isinstance(default, float):
        try:
            return float(text)
        except ValueError as error:
            raise Rejected("invalid_request", f"{name}: must be a number.", field=name) from error
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, BaseModel) and name != "margin":  # one length may stand for all margins
        raise Rejected("invalid_request", f"{name}: has several fields; send it with POST /pdf.", field=name)
    return text


def _integer(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise Rejected("invalid_request", f"{name}: must be a whole number.", field=name)
    return int(text)
