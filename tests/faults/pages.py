"""Serves the pages of real renders, and injects faults into the render that asks for one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.web import PageRequest, WebServer

PAGE_FAULTS = (
    "browser killed",
    "browser stopped",
    "render killed",
    "render frozen",
    "render frozen past its timeout",
    "disk full",
    "file limit",
    "memory",
    "loop",
    "never",
    "cut",
)
"""What happens to the render that loads a page below /real/<fault>/."""

_PLAIN = "<!doctype html><title>{path}</title><h1>Page</h1><p>{path}"
_BODIES = {
    "loop": "<!doctype html><title>loop</title><p>before<script>for (;;) {}</script>",
    "memory": "<!doctype html><title>memory</title><p>before<script>const kept = [];"
    " const more = () => { const b = new Uint8Array(64 << 20); b.fill(1); kept.push(b); setTimeout(more, 50) };"
    " more()</script>",
}
NEVER_SECONDS = 60.0


class FaultyPages(WebServer):
    """A web server on a port of 127.0.0.1.

    Args:
        hurt: Is called with the fault and the local port of the render's connection, before the page is answered.
    """

    def __init__(self, hurt: Callable[[str, int], None]) -> None:
        self._hurt = hurt
        super().__init__()

    def answer(self, request: PageRequest) -> None:
        fault = request.path.split("/")[2].replace("-", " ") if request.path.startswith("/real/") else ""
        port = int(request.client_address[1])
        if fault == "never":
            self.hang(request, NEVER_SECONDS)
            return
        if fault in PAGE_FAULTS and fault not in _BODIES and fault != "cut":
            self._hurt(fault, port)
        body = (_BODIES.get(fault) or _PLAIN.format(path=request.path)).encode()
        if fault == "memory":
            threading.Thread(target=self._hurt, args=(fault, port), daemon=True).start()
        request.send(body, cut=(len(body) + 1) // 2 if fault == "cut" else 0)
