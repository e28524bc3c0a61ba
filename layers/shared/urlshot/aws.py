"""Clients of the services that every request may need, S3 and Secrets Manager, by botocore's own session.

boto3 makes its clients by the very same session, but its import brings the S3 transfer manager along, which nothing
here uses and every cold start would pay for: 35 ms of processor time of 270 for an S3 client (measured).
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

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
        return _session().create_client(service, config=Config(**{**waits, **config}))
