"""From an HTTP event to what is asked for; whatever is wrong is said by the name of its field."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.api.http import Call
from urlshot.accept import Request
from urlshot.egress import Egress
from urlshot.errors import Rejected
from urlshot.identity import job_id, private_id, target
from urlshot.messages import Priority
from urlshot.options import Options, invalid
from urlshot.private import Private
from urlshot.recipients import callback_subscriber, mail_subscriber
from urlshot.records import now
from urlshot.subscriptions import Subscriber

MAX_BODY = 64_000
"""Bytes of a request's body."""

MAX_BATCH = 100
"""Requests of one batch."""

MAX_BATCH_BODY = 1_000_000
"""Bytes of a batch's body."""

MAX_HOPS = 6
"""Times that GET /pdf may send a client on to itself; with 25 s each it outlasts a render and its wait."""

_YES_NO = {"true": True, "1": True, "false": False, "0": False}


class Asked(BaseModel):
    """The body of POST /pdf. `private` makes the job a private one: it is nobody else's, and never a hit."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)

    url: str
    options: Options = Options()
    private: Private = Private()
    max_age: int | None = Field(
        default=None, ge=0, le=31_536_000, description="Seconds; how old a PDF that is there may be. 0 wants a new one."
    )
    callback_url: str | None = Field(
        default=None, description="Where the job's end is posted, signed as Standard Webhooks has it; https only."
    )
    notify: str | None = Field(
        default=None, description="A mail address that is told of the job's end; one that the operator allows."
    )
    priority: Priority | None = Field(
        default=None,
        description="bulk waits behind normal jobs and leaves some renderers free for them. "
        "The default is normal; in a batch it is bulk.",
    )


@dataclass(frozen=True)
class Rules:
    """What the deployment says about requests."""

    egress: Egress
    max_age: int
    callback_hosts: frozenset[str] = frozenset()
    notify_allow: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """A request, and who wants to know how it ends."""

    request: Request
    subscribers: tuple[Subscriber, ...] = ()


def from_body(call: Call, rules: Rules) -> Wanted:
    """Reads POST /pdf.

    Raises:
        Rejected: with the code and field at fault.
    """
    return from_value(_object(call, MAX_BODY), call, rules)


def batch_of(call: Call) -> list[object]:
    """Reads POST /pdf/batch: `requests`, each as the body of POST /pdf; what they are is not looked at yet.

    Raises:
        Rejected: with the code and field at fault.
    """
    value = _object(call, MAX_BATCH_BODY)
    found = value.pop("requests", None)
    if value:
        name = next(iter(value))[:50]
        raise Rejected("invalid_request", f"{name}: is not known.", field=name)
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_BATCH:
        raise Rejected("invalid_request", f"requests: must be a list of 1 to {MAX_BATCH} requests.", field="requests")
    return found


def from_value(value: object, call: Call, rules: Rules, priority: Priority = "normal") -> Wanted:
    """Reads one request that came as JSON; `priority` is that of a request which does not name one.

    Raises:
        Rejected: with the code and field at fault.
    """
    if not isinstance(value, dict):
        raise Rejected("invalid_request", 'The request is no JSON object such as {"url": "https://…"}.')
    try:
        asked = Asked.model_validate(value)
    except ValidationError as error:
        raise invalid(error) from error
    where = target(asked.url, rules.egress)
    if (where.host.rstrip("."), where.port) == call.own:  # a page must not call us in a circle
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
    """Reads GET /pdf: `url`, `max_age`, and options by their names; and how often it was sent on to itself.

    Raises:
        Rejected: with the code and parameter at fault.
    """
    words = dict(call.query)
    if "url" not in words:
        raise Rejected("invalid_request", "url: is missing, as in /pdf?url=https%3A%2F%2Fexample.com%2F.", field="url")
    hops = _integer(words.pop("hops", "0"), "hops")
    if not 0 <= hops <= MAX_HOPS:
        raise Rejected("invalid_request", f"hops: must be from 0 to {MAX_HOPS}.", field="hops")
    value: dict[str, Any] = {"url": words.pop("url")}
    if "max_age" in words:
        value["max_age"] = _integer(words.pop("max_age"), "max_age")
    options: dict[str, Any] = {}
    for name, text in words.items():
        if name not in Options.model_fields:
            raise Rejected(
                "invalid_request",
                f"{name[:50]}: is not known. If it belongs to the page's URL, percent-encode that URL.",
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
    """The body, which has to be a JSON object of at most `most` bytes."""
    try:
        data = base64.b64decode(call.body, validate=True) if call.is_base64 else call.body.encode()
    except (binascii.Error, UnicodeError) as error:
        raise Rejected("invalid_json") from error
    if len(data) > most:
        raise Rejected("body_too_large", f"The body has {len(data)} bytes; {most} are allowed.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_json") from error
    if not isinstance(value, dict):
        raise Rejected("invalid_json", "The body is JSON, but not an object.")
    return value


def _typed(name: str, text: str) -> bool | float | str | list[str]:
    """A query parameter as the type of its option; a query knows only strings, and lists with commas between them.

    Raises:
        Rejected: `invalid_request`: it is of another type, or an option of several fields, which a body has room for.
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
    if isinstance(default, BaseModel) and name != "margin":  # one length stands for a whole margin
        raise Rejected("invalid_request", f"{name}: has fields of its own; send it with POST /pdf.", field=name)
    return text


def _integer(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise Rejected("invalid_request", f"{name}: must be a whole number.", field=name)
    return int(text)
