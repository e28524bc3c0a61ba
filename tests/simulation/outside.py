"""Simulates SES and the servers that get callbacks: they accept, refuse, or accept and do not answer in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ReadTimeoutError
from pydantic_core import from_json

from functions.callback.post import ATTEMPT_SECONDS, Undelivered
from tests.simulation.deliveries import Deliveries
from tests.simulation.kernel import Kernel
from tests.simulation.s3 import refusal
from urlshot.core.egress import Egress
from urlshot.core.subscription_rules import callback_subscriber, mail_subscriber
from urlshot.core.subscriptions import Subscriber

SES_FAULTS = ("dies", "dies after", "throttled", "unavailable", "answer lost", "slow")
SERVER_FAULTS = ("dies", "dies after", "500", "404", "410", "unreachable", "time-out", "answer lost", "slow")

OPERATOR = "operator@example.com"
BROKEN = ("https://broken.example/", "broken@example.com")
"""Addresses that refuse everything, also after all faults have ended."""

CALLBACKS = ("https://one.example/", "https://two.example/", BROKEN[0])
MAILS = ("one@example.com", "two@example.com", BROKEN[1])


def _subscribers() -> dict[str, Subscriber]:
    """Returns the subscriber of each address, as `api` makes it."""
    allow = frozenset({"@example.com"})
    made = {one: callback_subscriber(one, Egress(), has_key=True, hosts=frozenset()) for one in CALLBACKS}
    return made | {one: mail_subscriber(one, allow) for one in MAILS}


SUBSCRIBERS = _subscribers()
NAMES = {address: f"{one.kind}-{one.hash}" for address, one in SUBSCRIBERS.items()} | {OPERATOR: "operator"}
"""The name of each recipient, as it is in the keys of its subscriptions."""
REFUSE_ALL = frozenset(NAMES[address] for address in BROKEN)


class SimulatedSes:
    """The client method that the product calls."""

    def __init__(self, kernel: Kernel, deliveries: Deliveries) -> None:
        self._kernel = kernel
        self._deliveries = deliveries

    def send_email(
        self,
        *,
        FromEmailAddress: str,  # noqa: N803
        Destination: dict[str, list[str]],  # noqa: N803
        Content: dict[str, Any],  # noqa: N803
    ) -> dict[str, Any]:
        [address] = Destination["ToAddresses"]
        thread = self._kernel.current()
        _, fault = self._kernel.enter(f"SendEmail to {address} about", SES_FAULTS, thread.event["event_key"])
        if address in BROKEN:
            raise refusal("SendEmail", "MessageRejected", 400)
        if fault == "throttled":
            raise refusal("SendEmail", "TooManyRequestsException", 429)
        if fault == "unavailable":
            raise refusal("SendEmail", "InternalServiceErrorException", 500)
        delivery = self._deliveries.received(thread, NAMES[address])
        if fault == "answer lost":
            delivery.answer_lost = True
            raise ReadTimeoutError(endpoint_url="https://email.example/")
        self._kernel.leave(fault)
        return {"MessageId": "message"}


class SimulatedServers:
    """Takes the place of the callback function's `Sender`."""

    def __init__(self, kernel: Kernel, deliveries: Deliveries) -> None:
        self._kernel = kernel
        self._deliveries = deliveries

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        thread = self._kernel.current()
        _, fault = self._kernel.enter(f"POST {url} about", SERVER_FAULTS, thread.event["event_key"])
        if url in BROKEN:
            return 503
        if fault in ("500", "404"):
            return int(fault)
        if fault == "unreachable":
            raise Undelivered("connection_failed")
        self._deliveries.identified(headers["webhook-id"], NAMES[url], thread.event, from_json(body)["data"])
        delivery = self._deliveries.received(thread, NAMES[url])
        if fault in ("time-out", "answer lost"):
            delivery.answer_lost = True
            if fault == "time-out":
                self._kernel.sleep(ATTEMPT_SECONDS)
            raise Undelivered(fault)
        if fault == "slow":
            self._kernel.sleep(self._kernel.decisions.between(f"{thread.process.name}/slow", int(ATTEMPT_SECONDS) - 1))
        self._kernel.leave("" if fault == "slow" else fault)
        return 410 if fault == "410" else 204
