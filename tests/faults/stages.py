"""Names the stages of a job's life by what is seen between the functions and the services.

Every call of AWS and every publish belongs to one step of one function, so its method, key and body name the step.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_ENDS = ("done", "failed")


@dataclass(frozen=True)
class Request:
    """One HTTP request of a function; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The key in the bucket; empty if the request is none of S3, or about the whole bucket."""
        return self.path.partition("?")[0].lstrip("/").partition("/")[2]

    def record(self) -> dict[str, Any] | None:
        """The record of a job that the request writes, if it writes one."""
        if self.method != "PUT" or not self.key.startswith("job/"):
            return None
        try:
            return dict(json.loads(self.body))
        except ValueError:
            return None


def stage_of(request: Request) -> str:
    """Returns the stage of a request; "other" for those that are not tested one by one."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return _OF_TARGETS.get(target.rpartition(".")[2], "other")
    if "/invocations" in request.path:
        return "invoke"
    if request.path.startswith("/v2/email/outbound"):
        return "mail"
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return "upload"
    if (record := request.record()) is not None:
        return _of_record(record)
    kind = request.key.partition("/")[0] or ("list" if "list-type" in request.path else "")
    if request.method == "POST" and request.path.endswith("?delete"):
        kind = "delete"
    if kind == "list":
        prefix = re.search(r"prefix=(\w+)", request.path)
        kind = f"list {prefix[1] if prefix else ''}"
    if kind == "claim" and request.method == "PUT":
        consumer = request.key.split("/")[1]
        return f"{consumer}.noted" if _claim(request).get("sent") else f"{consumer}.claimed"
    return _OF_KEYS.get((request.method, kind), "other")


def job_of(request: Request) -> str:
    """Returns the id of the job that a request of a consumer of the bus is about; empty if it names none."""
    if request.path.startswith("/v2/email/outbound"):
        found = _JOB_IN_MAIL.search(request.body)
        return found[1].decode() if found else ""
    if request.key.startswith("claim/"):
        name = request.key.rpartition("/")[2].removesuffix(".json")
        event_key = str(_claim(request).get("event") or name.replace("-", ":"))
        return event_key.partition(":")[0]
    return ""


def _claim(request: Request) -> dict[str, Any]:
    """Returns the claim that a request writes; empty if it writes none."""
    try:
        found = json.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


_JOB_IN_MAIL = re.compile(rb"Job:\s.*?/pdf/(\w+)")
_OF_TARGETS = {
    "GetSecretValue": "secret",
    "PutEvents": "bus",
    "SendMessage": "callback.queued",
    "ChangeMessageVisibility": "callback.hidden",
}
_OF_KEYS = {
    ("HEAD", "pdf"): "look",
    ("GET", "job"): "read",
    ("GET", "list slot"): "slots",
    ("PUT", "slot"): "slot",
    ("DELETE", "slot"): "freed",
    ("PUT", "pdf"): "published",
    ("PUT", "sub"): "subscribed",
    ("GET", "list sub"): "subscribers",
    ("POST", "delete"): "unsubscribed",
}


def _of_record(record: dict[str, Any]) -> str:
    state = record.get("state")
    if state in _ENDS:
        return "announced" if record.get("announced") else f"ended {state}"
    if state == "queued":
        return "retried" if record.get("not_before") else "queued"
    return {"publishing": "created", "running": "claimed"}.get(str(state), "other")


_PUBLISHES = (
    ("sent", re.compile(rb"\x0bshot_direct(?:\x11shot_direct\.start|\x16shot_direct\.start\.bulk)")),
    ("parked", re.compile(rb"generate_shot(?:_bulk)?_retry_\d+s")),
    ("buried", re.compile(rb"\x00\x12generate_shot_dead")),
    ("completion", re.compile(rb"\x0bshot_direct(?:\x15shot_direct\.completed|\x12shot_direct\.failed)")),
)
_ACK, _DELIVER = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x3c"  # class 60, methods 80 and 60 of AMQP 0-9-1


def stages_sent(data: bytes) -> tuple[str, ...]:
    """Returns the stages of what a client sends to the broker."""
    found = tuple(name for name, pattern in _PUBLISHES if pattern.search(data))
    return found if found or _ACK not in data else ("acknowledged",)


def stages_received(data: bytes) -> tuple[str, ...]:
    """Returns the stages of what the broker sends to a client."""
    return ("delivered",) if _DELIVER in data else ()


AWS_STAGES: dict[str, tuple[str, ...]] = {
    "look": ("single", "repeat"),
    "created": ("single", "bulk", "bare", "private"),
    "queued": ("single", "bulk", "bare"),
    "read": ("single", "repeat", "bulk"),
    "slots": ("bulk", "single"),
    "slot": ("single", "bulk", "private"),
    "claimed": ("single", "bulk", "bare", "private"),
    "invoke": ("single", "bulk", "private"),
    "upload": ("single", "bulk", "real"),
    "freed": ("single", "bulk", "failing"),
    "published": ("single", "bulk", "private", "repeat"),
    "ended done": ("single", "bulk", "private", "bare"),
    "ended failed": ("failing",),
    "retried": ("failing",),
    "bus": ("single", "bare", "callback", "failing"),
    "announced": ("single", "bulk", "bare"),
    "secret": ("single", "callback"),
    "mail": ("single", "bare"),
    "subscribed": ("callback",),
    "subscribers": ("callback",),
    "callback.queued": ("callback",),
    "mail.claimed": ("single", "bulk"),
    "mail.noted": ("single", "bare"),
    "callback.claimed": ("callback",),
    "callback.noted": ("callback",),
    "callback.hidden": ("unanswered",),
    "unsubscribed": ("callback",),
}
"""The stages that are calls of AWS, and the kinds of jobs that reach them."""

AMQP_STAGES: dict[str, tuple[str, ...]] = {
    "sent": ("single", "bulk", "private", "bare"),
    "parked": ("single", "bulk", "private"),
    "buried": ("failing",),
    "completion": ("single", "bulk", "bare"),
    "delivered": ("single", "bulk", "bare"),
    "acknowledged": ("single", "bulk", "bare"),
}
"""The stages that are seen on the connections to the broker."""
