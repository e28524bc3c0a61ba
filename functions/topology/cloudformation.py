"""CloudFormation's side of a custom resource: an answer to every request, in time.

Source: CloudFormation user guide, "Custom resource request and response reference". A stack that hears nothing waits
for the resource's ServiceTimeout.
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
"""One id for the life of the resource: another would have CloudFormation delete "the old one"."""

ANSWER_SECONDS = 30.0
"""What is kept of the function's time for the answer, and for a name look-up before it that nothing can interrupt."""

_TRIES = 3
_TRY_SECONDS = 5.0


class OutOfTime(Exception):
    """The work was broken off, so that there is time left to say so."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Breaks off, wherever it stands, what takes longer. For the main thread, which is where Lambda calls a handler.

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
    """Puts the answer where CloudFormation waits for it.

    Raises:
        OSError: it could not be put there, three times.
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
            time.sleep(1)  # S3 has nothing to wait on
