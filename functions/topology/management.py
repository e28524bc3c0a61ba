"""RabbitMQ's management API over HTTP(S)."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from functions.topology.description import VHOST, Call
from urlshot.errors import Broken
from urlshot.messages import EXCHANGE
from urlshot.secrets import Credentials

CALL_SECONDS = 10.0
PATIENCE_SECONDS = 120.0
"""How long a broker that does not answer is given: one that has just been created may take a moment."""

_ADVICE = {
    401: "Amazon MQ reads the administrator's secret once, when it creates the broker. If the secret was changed, put "
    "the old password back.",
    403: "The administrator needs the tag administrator, and all permissions on the vhost /.",
}


class Management:
    """The management API at `url`, such as `https://b-….mq.eu-west-1.amazonaws.com`.

    Every call is made again while the broker does not answer, for up to PATIENCE_SECONDS.

    Raises:
        Broken: it refuses the call, or does not answer. The text says what to do and holds no password.
    """

    def __init__(self, url: str, admin: Credentials) -> None:
        token = base64.b64encode(f"{admin.username}:{admin.password}".encode()).decode()
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def carry_out(self, call: Call) -> Any:
        """Makes one call, and returns the JSON of its answer, None if there is none. To delete what is gone is done."""
        data = None if call.body is None else json.dumps(call.body).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme is the broker's own, not a stranger's
            self._url + call.path, data, self._headers, method=call.method
        )
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
        while True:
            try:
                with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code == 404 and call.method == "DELETE":
                    return None
                # What it says of a call that carries a password stays unsaid: it might quote it.
                told = "" if "password" in (call.body or {}) else error.read(500).decode(errors="replace")
                reason = f"{error.code} {told}".strip()
                if error.code < 500:
                    advice = _ADVICE.get(error.code, "The broker's log may say more.")
                    raise Broken(f"The broker refuses {call.method} {call.path}: {reason}. {advice}") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = repr(error)
            if time.monotonic() + pause > deadline:
                raise Broken(
                    f"The broker's management API at {self._url} did not answer for {PATIENCE_SECONDS:.0f} s "
                    f"({call.method} {call.path}: {reason}). See whether the broker is running, and, where it is "
                    "private, whether this function's subnets and security group reach it; then update the stack again."
                )
            time.sleep(pause)  # a broker that is starting has nothing to wait on
            pause = min(pause * 2, 5.0)

    def queues(self) -> set[str]:
        """Names of all queues."""
        return {queue["name"] for queue in self.carry_out(Call("GET", f"/api/queues/{VHOST}?columns=name"))}

    def bindings(self) -> list[dict[str, Any]]:
        """Where our exchange leads."""
        found: list[dict[str, Any]] = self.carry_out(Call("GET", f"/api/exchanges/{VHOST}/{EXCHANGE}/bindings/source"))
        return found

    def messages(self) -> dict[str, int]:
        """Messages in each queue: those that wait, those that a consumer has, and those on their way to another queue.

        The figures are some seconds old (see declare.py), and a queue may be missing from them.
        """
        path = f"/api/queues/{VHOST}?disable_stats=true&enable_queue_totals=true"
        return {queue["name"]: queue["messages"] for queue in self.carry_out(Call("GET", path)) if "messages" in queue}

    def dead_letter(self, queue: str, count: int) -> int:
        """Has up to `count` waiting messages of a queue dead-lettered as its policy says, and returns how many.

        With at-least-once dead-lettering the broker keeps a message until the other queue has confirmed it, so that it
        cannot get lost on the way, whatever becomes of this call.
        """
        body = {"count": count, "ackmode": "reject_requeue_false", "encoding": "base64", "truncate": 0}
        return len(self.carry_out(Call("POST", f"/api/queues/{VHOST}/{queue}/get", body)))
