"""Defines the messages on RabbitMQ, and the names of exchanges, queues and routing keys.

These names are the contract with AMQP clients. A client publishes `{"url": "https://…"}` to `shot_direct` with the key
`shot_direct.start`, and binds its own queue to `shot_direct.completed` and `shot_direct.failed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from urlshot.core.errors import Rejected
from urlshot.core.identity import is_job_id, is_private_id
from urlshot.core.options import DEFAULTS, JobOptions, invalid, parse_options
from urlshot.core.private import Private, no_secrets

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
"""`bulk` jobs have their own queue and leave some slots free, so single requests do not wait behind a batch."""

QUEUES: Mapping[Priority, str] = {"normal": QUEUE, "bulk": QUEUE_BULK}
"""The work queue of each priority."""

START_KEYS: Mapping[Priority, str] = {"normal": START, "bulk": START_BULK}
"""The routing key of each work queue."""

MAX_BODY = 1_000_000
"""Most bytes of a message's body; those from `api` have a few hundred."""


def delay_queue(queue: str, seconds: int) -> str:
    """Returns the name of the delay queue in which messages of the work queue `queue` wait for `seconds`."""
    return f"{queue}_retry_{seconds}s"


def parse_delays(text: str) -> tuple[int, ...]:
    """Parses the retry delays, in seconds, such as `5,30,120`.

    Raises:
        ValueError: They are not ascending whole seconds from 1 to 86,400.
    """
    delays = tuple(int(part) for part in text.split(","))
    if list(delays) != sorted(set(delays)) or delays[0] < 1 or delays[-1] > 86_400:
        raise ValueError("must be ascending whole seconds such as 5,30,120, from 1 to 86400")
    return delays


Delays = Annotated[
    tuple[int, ...], BeforeValidator(lambda value: parse_delays(value) if isinstance(value, str) else value)
]


class StartMessage(BaseModel):
    """The message that urlshot publishes for each generation of a job."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    id: str
    generation: str
    url: str
    options: JobOptions
    requested_at: datetime
    private: Private = Field(default_factory=no_secrets)
    """The secrets of a private job. Apart from the render job, they are kept nowhere else."""

    def body(self) -> bytes:
        values = self.model_dump(mode="json", exclude={"options", "private"})
        return json.dumps({**values, "options": self.options.changed(), **_shown(self.private)}).encode()


class BareMessage(BaseModel):
    """The message of an AMQP client: a URL, and optionally options. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    url: str
    options: JobOptions = DEFAULTS
    private: Private = Field(default_factory=no_secrets)
    priority: Priority | None = None
    """If it is missing, the queue that delivered the message decides."""

    def body(self) -> bytes:
        return json.dumps({"url": self.url, "options": self.options.changed(), **_shown(self.private)}).encode()


def _shown(private: Private) -> dict[str, Any]:
    return {"private": private.model_dump(mode="json", exclude_defaults=True)} if private else {}


STRIPPED = "stripped"
"""Replaces the secrets in a dead message. Such a message is refused if it is moved back: without the secrets, the PDF
might show a login page instead of the page."""


def stripped(data: bytes) -> bytes:
    """Returns a message's body without the secrets of a private job, so that it may be kept."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data  # not JSON, so it was never read as a private job
    if not isinstance(value, dict) or "private" not in value:
        return data
    return json.dumps({**value, "private": STRIPPED}).encode()


def parse_message(data: bytes) -> StartMessage | BareMessage:
    """Reads the body of a message from the work queue.

    Raises:
        Rejected: `invalid_json`, `body_too_large` or `invalid_request`: the message can never succeed.
    """
    if len(data) > MAX_BODY:
        raise Rejected("body_too_large", f"The message has {len(data):,} bytes; at most {MAX_BODY:,} are allowed.")
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_json", "The message is not JSON.") from error
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise Rejected("invalid_request", "The message has no url.", field="url")
    if value.get("private") == STRIPPED:
        raise Rejected(
            "invalid_request", "The secrets of this private job were removed. Send a new request.", field="private"
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
        raise Rejected("invalid_request", "The message's id is not a job id.", field="id")
    if message.private and not is_private_id(message.id):
        # A page that only its caller may see would be stored where everybody who asks for the URL gets it.
        raise Rejected("invalid_request", "The id of a job with secrets is not that of a private job.", field="id")
    return message
