"""Writes the body and the id of a callback, as Standard Webhooks specifies: `type`, `timestamp` and `data`."""

from __future__ import annotations

import hashlib
import json

from urlshot.core.events import Detail
from urlshot.core.links import FileLinks

SHOWN = {
    "version", "id", "url", "report", "error", "attempts", "cached", "requested_at", "finished_at", "queue_seconds",
    "render_seconds",
}  # fmt: skip
"""The fields of an event that a callback shows as they are."""


def webhook_id(event: Detail, subscriber_hash: str) -> str:
    """Returns the id of a callback: one for each event and subscriber, and the same for all attempts."""
    return "msg_" + hashlib.sha256(f"{event.event_key}\n{subscriber_hash}".encode()).hexdigest()[:32]


def completion(event: Detail, public_url: str, links: FileLinks) -> bytes:
    """Returns the body as JSON; its links do not expire."""
    job = f"{public_url}/pdf/{event.id}"
    done = event.error is None
    data = {
        **event.model_dump(mode="json", include=SHOWN, exclude_none=True),
        "state": "done" if done else "failed",
        "links": {
            "self": job,
            **({"file": public_url + links.path(event.id), "report": f"{job}/report"} if done else {}),
        },
    }
    body = {
        "type": "shot.completed" if done else "shot.failed",
        "timestamp": data["finished_at"],
        "data": data,
    }
    return json.dumps(body, separators=(",", ":")).encode()
