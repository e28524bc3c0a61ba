"""Answers CloudFormation's requests to a custom resource, each in time.

Source: CloudFormation user guide, "Custom resource request and response reference". Without an answer the stack waits
until the resource's ServiceTimeout is over.
"""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PHYSICAL_ID = "urlshot-topology"
"""The id never changes. If it did, CloudFormation would delete the resource with the old id."""

ANSWER_SECONDS = 30.0
"""The part of the function's time that is reserved for the answer, and for a name lookup that cannot be interrupted."""

_TRIES = 3
_TRY_SECONDS = 5.0


class OutOfTime(Exception):
    """The work was interrupted, so that there is time left to answer."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupts the body of a `with` statement after `seconds`, wherever it is.

    Works in the main thread only, which is where Lambda calls a handler.

    Raises:
        OutOfTime: `seconds` are over.
    """

    def ring(*_: Any) -> None:
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    others = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, handler)


def answer(event: dict[str, Any], status: str, reason: str) -> None:
    """Uploads the answer to the address that CloudFormation gave.

    Args:
        event: CloudFormation's request.
        status: `SUCCESS` or `FAILED`.
        reason: a text for the owner of the stack.

    Raises:
        OSError: three uploads failed.
    """
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_ID),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own presigned address
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    for left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=_TRY_SECONDS):  # noqa: S310 - as above
                return
        except OSError:
            if left == 0:
                raise
            time.sleep(1)  # S3 offers no event to wait for
