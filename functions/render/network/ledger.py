"""Counts the connections and bytes of one job, notes failures, and applies the limits of the job and of the memory."""

from __future__ import annotations

import asyncio

from urlshot.core.render_contract import MOST, Limits
from urlshot.network.dial import Failure

Endpoint = tuple[str, int]
"""Host, as the browser spelled it, and port."""


class Ledger:
    """The network account of one job.

    Chromium learns only that its proxy refused a connection; the ledger keeps the reason for the caller.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = 0
        self.received = 0
        self.sent = 0
        self.connections = 0
        self.refused = 0
        self.failures: dict[Endpoint, Failure] = {}
        self.cut: set[str] = set()
        """Plain http URLs whose compressed bodies broke off."""
        self.exceeded: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        """Done as soon as the job has used more than its limits or the memory allow."""

    def request(self) -> bool:
        """Counts a request of the browser; returns False if the job exceeds its limits.

        A request over plain http counts as much towards the limit of connections as a connection for https does, also
        if it needs no new connection. Otherwise a page could send any number of them.
        """
        self._requests += 1
        if self._requests > self._limits.connections:
            self._exceed(f"The page made more than {self._limits.connections} connections or plain http requests.")
        return not self.exceeded.done()

    def connection(self) -> None:
        """Counts a connection to a server, also if it is refused or fails."""
        self.connections += 1

    def moved(self, *, received: int = 0, sent: int = 0) -> bool:
        """Counts bytes from and to the network; returns False if the job exceeds its limits."""
        self.received += received
        self.sent += sent
        if self.received + self.sent > self._limits.page_bytes:
            self._exceed(f"The page loads more than {self._limits.page_bytes:,} bytes.")
        return not self.exceeded.done()

    def failed(self, endpoint: Endpoint, failure: Failure) -> None:
        """Notes that an endpoint could not be reached."""
        self.failures[endpoint] = failure
        if failure.code == "blocked_target":
            self.refused += 1

    def broke_off(self, url: str) -> None:
        """Notes that a compressed body broke off."""
        if len(self.cut) < MOST:
            self.cut.add(url)

    def outgrew(self, megabytes: int) -> None:
        """Notes that the page needs more than the function's memory."""
        reason = f"The page needs more memory than there is; RenderMemory is {megabytes:,} MB."
        self._exceed(reason, "too_much_memory")

    def summary(self) -> dict[str, int]:
        """Returns the report's field `network`: numbers of bytes and of connections."""
        return {
            "received": self.received,
            "sent": self.sent,
            "connections": self.connections,
            "refused": self.refused,
        }

    def _exceed(self, reason: str, code: str = "too_large") -> None:
        if not self.exceeded.done():
            self.exceeded.set_result(Failure(code, reason))
