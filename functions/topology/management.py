"""Calls RabbitMQ's management API over HTTP(S)."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request

from functions.topology.description import Call
from urlshot.adapters.secrets import Credentials
from urlshot.core.errors import Broken

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 120.0
"""How long one call is repeated while the broker does not answer, because a new broker may need time to start."""

_DONE = (201, 204)
"""RabbitMQ's answers to a successful call. 200 is not one: a proxy answers it with a page while the broker is away."""

_ADVICE = {
    401: "Amazon MQ reads the administrator's secret only when it creates the broker. If the secret was changed, "
    "put the old password back.",
    403: "The administrator needs the tag `administrator` and all permissions on the vhost /.",
}


class Management:
    """Calls the management API at `url`, such as `https://b-….mq.eu-west-1.amazonaws.com`."""

    def __init__(self, url: str, admin: Credentials) -> None:
        token = base64.b64encode(f"{admin.username}:{admin.password}".encode()).decode()
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def carry_out(self, call: Call) -> None:
        """Makes one call, and repeats it for up to PATIENCE_SECONDS while the broker does not answer.

        Raises:
            Broken: the broker refuses the call or does not answer. The text says what to do and contains no password.
        """
        request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
            self._url + call.path, json.dumps(call.body).encode(), self._headers, method=call.method
        )
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
        while True:
            try:
                with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
                    if answer.status in _DONE:
                        return
                    reason = f"{answer.status}, which RabbitMQ does not answer"
            except urllib.error.HTTPError as error:
                # The answer to a call with a password is not shown, because it may quote the password.
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
                    f"({call.method} {call.path}: {reason}). Check that the broker is running and, if it is private, "
                    "that this function's subnets and security group can reach it. Then update the stack again."
                )
            time.sleep(pause)  # a broker that starts offers no event to wait for
            pause = min(pause * 2, 5.0)
