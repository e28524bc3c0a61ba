"""RabbitMQ's management API over HTTP(S)."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request

from functions.topology.description import Call
from urlshot.errors import Broken
from urlshot.secrets import Credentials

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 120.0
"""How long one call is repeated while the broker does not answer: a new broker may take a moment."""

_DONE = (201, 204)
"""RabbitMQ's answers to a call that it has carried out; a proxy's page for a broker that is away comes with 200."""

_ADVICE = {
    401: "Amazon MQ reads the administrator's secret once, when it creates the broker. If the secret was changed, put "
    "the old password back.",
    403: "The administrator needs the tag administrator, and all permissions on the vhost /.",
}


class Management:
    """The management API at `url`, such as `https://b-….mq.eu-west-1.amazonaws.com`.

    Each call is repeated while the broker does not answer, for up to PATIENCE_SECONDS.

    Raises:
        Broken: the broker refuses a call, or does not answer. The text says what to do and holds no password.
    """

    def __init__(self, url: str, admin: Credentials) -> None:
        token = base64.b64encode(f"{admin.username}:{admin.password}".encode()).decode()
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def carry_out(self, call: Call) -> None:
        """Makes one call."""
        request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
            self._url + call.path, json.dumps(call.body).encode(), self._headers, method=call.method
        )
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
        while True:
            try:
                with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
                    if answer.status in _DONE:
                        return
                    reason = f"{answer.status}, which is not RabbitMQ's answer"
            except urllib.error.HTTPError as error:
                # The answer to a call that carries a password is left out: it may quote the password.
                text = "" if "password" in call.body else error.read(500).decode(errors="replace")
                reason = f"{error.code} {text}".strip()
                if error.code < 500:
                    advice = _ADVICE.get(error.code, "The broker's log may say more.")
                    raise Broken(f"The broker refuses {call.method} {call.path}: {reason}. {advice}") from error
            except (OSError, http.client.HTTPException) as error:
                reason = repr(error)
            if time.monotonic() + pause > deadline:
                raise Broken(
                    f"The broker's management API at {self._url} did not answer for {PATIENCE_SECONDS:.0f} s "
                    f"({call.method} {call.path}: {reason}). Check that the broker is running, and, where it is "
                    "private, that this function's subnets and security group reach it; then update the stack again."
                )
            time.sleep(pause)  # there is no event to wait for while a broker starts
            pause = min(pause * 2, 5.0)
