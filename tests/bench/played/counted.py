"""Wraps a function's handler: after each event, it logs how many calls to AWS the handler made, by kind."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

from botocore.httpsession import URLLib3Session

from . import app

_calls: Counter[str] = Counter()
_lock = threading.Lock()
_send = URLLib3Session.send


def _counted(session: URLLib3Session, request: Any) -> Any:
    target = request.headers.get("X-Amz-Target")
    if "/invocations" in request.url:
        kind = "Lambda invoke"
    elif target is not None:
        kind = (target if isinstance(target, str) else target.decode()).rpartition(".")[2]
    else:
        key = request.url.partition("?")[0].split("/", 4)[4:]
        kind = f"S3 {request.method} {key[0].partition('/')[0] if key and key[0] else 'list'}"
    with _lock:
        _calls[kind] += 1
    return _send(session, request)


URLLib3Session.send = _counted  # type: ignore[method-assign]


def handler(event: dict[str, Any], context: Any) -> Any:
    """Handles one event with the function's own handler, and logs its calls."""
    before = Counter(_calls)
    try:
        return app.handler(event, context)
    finally:
        print(json.dumps({"message": "calls", "calls": _calls - before}), flush=True)
