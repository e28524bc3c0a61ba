"""The floor: a bare DevTools client (https://chromedevtools.github.io/devtools-protocol/) to the layer's own browser.

For each job it makes a context and a page, navigates, waits for the load event, and prints. Nothing can be left out of
that, so no tool that gives every job a context of its own can take less.
"""

from __future__ import annotations

from tests.bench.workers.protocol import Conversation

talk = Conversation()

import base64  # noqa: E402
import fcntl  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import tempfile  # noqa: E402
from typing import Any  # noqa: E402

from playwright_aws_lambda import Layer, chromium_args  # noqa: E402

_FREE = 10
"""The pipes get numbers from here on, so that none of them is 3 or 4, where the browser expects them."""
_SWITCHES = ("--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars")
_A4 = {"paperWidth": 8.27, "paperHeight": 11.7, "printBackground": True, "generateTaggedPDF": False}


class Floor:
    """The browser and the two pipes to it."""

    def __init__(self) -> None:
        layer = Layer.here()
        binary = layer.inflate()
        talk.mark("inflated")
        home = tempfile.mkdtemp(prefix="floor-")
        environment = {
            "LD_LIBRARY_PATH": str(layer.libraries), "FONTCONFIG_PATH": str(layer.files), "HOME": home, "TMPDIR": home,
        }  # fmt: skip
        (theirs_in, self._out), (self._in, theirs_out) = (
            tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in os.pipe()) for _ in range(2)
        )
        os.posix_spawn(
            binary,
            [str(binary), *_SWITCHES, *chromium_args(), f"--user-data-dir={home}/profile"],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)],
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number = 0
        self._read = b""
        self._context: str | None = None
        self.versions = {"chromium": self._call("Browser.getVersion")["product"]}

    def print(self, url: str, wait: str) -> tuple[bytes, dict[str, Any]]:
        """Prints a page at its load event, whatever `wait` says."""
        self._context = self._call("Target.createBrowserContext")["browserContextId"]
        page = {"url": "about:blank", "browserContextId": self._context}
        target = self._call("Target.createTarget", page)["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self._call("Page.enable", session=session)
        loaded: list[bool] = []
        self._call("Page.navigate", {"url": url}, session, loaded)
        while not loaded:
            loaded += [True] if self._next().get("method") == "Page.loadEventFired" else []
        return base64.b64decode(self._call("Page.printToPDF", _A4, session)["data"]), {}

    def tidy(self) -> None:
        """Disposes of the context."""
        if self._context is not None:
            self._call("Target.disposeBrowserContext", {"browserContextId": self._context})
            self._context = None

    def _call(
        self, method: str, params: dict[str, Any] | None = None, session: str = "", loaded: list[bool] | None = None
    ) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        os.write(self._out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if loaded is not None and answer.get("method") == "Page.loadEventFired":
                loaded.append(True)

    def _next(self) -> dict[str, Any]:
        parts: list[bytes] = []
        while b"\0" not in self._read:
            parts.append(self._read)
            self._read = os.read(self._in, 1 << 20)
            if not self._read:
                raise RuntimeError("the browser has ended")
        head, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(b"".join([*parts, head])))


talk.mark("imported")
floor = Floor()
talk.mark("started")
talk.serve(floor)
