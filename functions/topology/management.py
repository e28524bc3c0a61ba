"""RabbitMQ's management API over HTTP(S)."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request

from functions.topology.description import Call
from urlshot.errors import Broken
from urlshot.secrets import Credentials

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 120.0
"""How long a broker that does not answer is given: one that has just been created may take a moment."""


class Management:
    """The management API at `url`, such as `https://b-….mq.eu-west-1.amazonaws.com`."""

    def __init__(self, url: str, admin: Credentials) -> None:
        token = base64.b64encode(f"{admin.username}:{admin.password}".encode()).decode()
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def carry_out(self, call: Call) -> None:
        """Makes one call; while the broker does not answer, again, for up to PATIENCE_SECONDS.

        Raises:
            Broken: it refuses the call, or does not answer. The text names the call and holds no password.
        """
        request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
            self._url + call.path, json.dumps(call.body).encode(), self._headers, method=call.method
        )
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
        while True:
            try:
                with urllib.request.urlopen(request, timeout=CALL_SECONDS):  # noqa: S310 - as above
                    return
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.read(500).decode(errors='replace')}"
                if error.code < 500:
                    raise Broken(f"broker: {call.method} {call.path}: {reason}") from error
            except OSError as error:
                reason = repr(error)
            if time.monotonic() + pause > deadline:
                raise Broken(f"broker: {call.method} {call.path}: {reason}")
            time.sleep(pause)  # a broker that is starting has nothing to wait on
            pause = min(pause * 2, 5.0)
