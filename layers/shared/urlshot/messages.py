"""What travels on RabbitMQ, and the names of what it travels through.

These names are the contract with plain AMQP clients: any of them may publish `{"url": "https://…"}` to `shot_direct`
with the key `shot_direct.start`, and bind a queue of its own to `shot_direct.completed` and `shot_direct.failed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from urlshot.errors import Rejected
from urlshot.identity import is_job_id
from urlshot.options import Options, invalid, parse_options
from urlshot.private import Private

EXCHANGE = "shot_direct"
START = "shot_direct.start"
START_BULK = "shot_direct.start.bulk"
COMPLETED = "shot_direct.completed"
FAILED = "shot_direct.failed"
QUEUE = "generate_shot"
QUEUE_BULK = "generate_shot_bulk"
RETURNED = "generate_shot_returned"
"""Messages of the work queues that the broker gave up: expired, or delivered too often. `dispatch` answers them."""
DEAD = "generate_shot_dead"
TYPE = "url_shot"

Priority = Literal["normal", "bulk"]
"""`bulk` jobs wait in a queue of their own and leave some slots free, so that no one waits behind a batch."""

QUEUES: Mapping[Priority, str] = {"normal": QUEUE, "bulk": QUEUE_BULK}
"""The work queue of each priority."""

START_KEYS: Mapping[Priority, str] = {"normal": START, "bulk": START_BULK}
"""The routing key that leads from the exchange to that queue."""

MAX_BODY = 1_000_000
"""Bytes of a message's body; ours have a few hundred."""


def delay_queue(queue: str, seconds: int) -> str:
    """The name of the queue in which a message of the work queue `queue` waits for `seconds`."""
    return f"{queue}_retry_{seconds}s"


def parse_delays(text: str) -> tuple[int, ...]:
    """Delay steps in seconds, such as `5,30,120`.

    Raises:
        ValueError: not ascending whole seconds from 1 to 86,400.
    """
    delays = tuple(int(part) for part in text.split(","))
    if list(delays) != sorted(set(delays)) or delays[0] < 1 or delays[-1] > 86_400:
        raise ValueError("must be ascending whole seconds such as 5,30,120, from 1 to 86400")
    return delays


Delays = Annotated[
    tuple[int, ...], BeforeValidator(lambda value: parse_delays(value) if isinstance(value, str) else value)
]


class StartMessage(BaseModel):
    """Our own message: one generation of one job, to be rendered."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    id: str
    generation: str
    url: str
    options: Options
    requested_at: datetime
    private: Private = Private()
    """The only place, beside the render job, where a private job's secrets are."""

    def body(self) -> bytes:
        values = self.model_dump(mode="json", exclude={"options", "private"})
        return json.dumps({**values, "options": self.options.changed(), **_shown(self.private)}).encode()


class BareMessage(BaseModel):
    """What any AMQP client may send: a URL, and options if it likes. Other names are its own and are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    url: str
    options: Options = Options()
    private: Private = Private()
    priority: Priority | None = None
    """Where it is not given, the queue that the message came through decides."""

    def body(self) -> bytes:
        return json.dumps({"url": self.url, "options": self.options.changed(), **_shown(self.private)}).encode()


def _shown(private: Private) -> dict[str, Any]:
    return {"private": private.model_dump(mode="json", exclude_defaults=True)} if private else {}


STRIPPED = "stripped"
"""Stands in a dead message for the secrets that it had. It is not done again without them: that would show strangers a
login page in place of what was asked for."""


def stripped(data: bytes) -> bytes:
    """A message's body as it may be kept: without the secrets of a private job."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data  # not one of ours, nor one that we could read secrets from
    if not isinstance(value, dict) or "private" not in value:
        return data
    return json.dumps({**value, "private": STRIPPED}).encode()


def parse_message(data: bytes) -> StartMessage | BareMessage:
    """Reads the body of a message from the work queue.

    Raises:
        Rejected: `invalid_json`, `body_too_large` or `invalid_request`: it can never be done.
    """
    if len(data) > MAX_BODY:
        raise Rejected("body_too_large", f"The message has {len(data)} bytes.")
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_json", "The message is not JSON.") from error
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise Rejected("invalid_request", "The message has no url.", field="url")
    if value.get("private") == STRIPPED:
        raise Rejected(
            "invalid_request", "The secrets of this private job are gone; ask for it again.", field="private"
        )
    if "generation" not in value:
        options = parse_options(value.get("options", {}))
        try:
            return BareMessage(
                url=value["url"],
                options=options,
                private=value.get("private", {}),
                priority=value.get("priority"),
            )
        except ValidationError as error:
            raise invalid(error) from error
    try:
        message = StartMessage.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error) from error
    if not is_job_id(message.id):
        raise Rejected("invalid_request", "The message's id is not an id.", field="id")
    return message
