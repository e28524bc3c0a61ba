"""Rejects a page's cookie banner by DuckDuckGo's autoconsent, which knows some 800 banners.

Its content script runs in every frame and sends messages (autoconsent, docs/api.md). We answer `init` with settings and
rules. `report` says how far the script is in that frame, and `autoconsentDone` that it has handled a banner. The script
never asks us to evaluate code, because the setting `isMainWorld` says that it runs in the page's own world.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from functions.render.devtools.frames import Frame
from functions.render.devtools.page import Page
from functions.render.page.tidy_lists import TidyLists
from playwright_aws_lambda import DevToolsError
from urlshot.core.render_contract import ConsentOutcome

OPEN_SECONDS = 1.2
"""Longest wait for the banner of a detected consent manager; in many countries consent managers show none."""
REJECT_SECONDS = 3.0
"""Longest wait in all; after it the page is printed as it stands."""

MESSAGES = 2000
"""Most messages that are handled, because the page can call the binding too."""
FRAMES = 20
"""Most documents that get the rules, which have 100 kB."""
_REST = 0.1
"""Seconds from the start of autoconsent's second search, which it reports, to its end, which it does not report.

Autoconsent searches twice, half a second apart. The page's own timers count these seconds and OPEN_SECONDS, so that the
search is the same on a slow page or a busy machine.
"""
_PAGE_TIME = "seconds => new Promise(done => setTimeout(done, seconds * 1000))"

_CONFIG = {
    "enabled": True,
    "autoAction": "optOut",
    "enablePrehide": True,  # hides banners immediately, and shows them again if they cannot be rejected
    "prehideTimeout": int(REJECT_SECONDS * 1000),
    "isMainWorld": True,
    "enableHeuristicDetection": True,
    "heuristicMode": "reject",  # on unknown banners click buttons that reject, never buttons that accept
    "detectRetries": 20,
    "logs": dict.fromkeys(
        ("lifecycle", "rulesteps", "detectionsteps", "evals", "errors", "messages", "waits"), False
    ),  # the report shows the page's console, so autoconsent must not write there
}
_BINDING = "autoconsentSendMessage"
_SENDER = f"""(() => {{
  const send = window.{_BINDING}, text = JSON.stringify;
  if (send) window.{_BINDING} = async message => send(text(message));
}})();
"""
"""A binding of DevTools takes a text only."""
MESSAGE_CHARACTERS = 1_000_000
"""Longest message that is read."""


class Consent:
    """Runs autoconsent in one page."""

    def __init__(self, page: Page, lists: TidyLists) -> None:
        self._page = page
        self._lists = lists
        self._messages = 0
        self._answers: set[asyncio.Task[None]] = set()
        self._documents = 0
        self._waited = 0.0
        self._found = ""
        self._look: asyncio.Task[None] | None = None
        """Ends when autoconsent's second search is over."""
        self._opening: asyncio.Task[None] | None = None
        """Ends when OPEN_SECONDS have passed since a consent manager was detected."""
        self._open = False
        self._outcome: ConsentOutcome = "none"
        self._done = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Adds the script to every document; call it before the page is opened."""
        await self._page.add_binding(_BINDING, self._received)
        await self._page.add_script(_SENDER + self._lists.consent_script)

    async def wait(self) -> None:
        """Waits until the banner has been handled or none is there, for REJECT_SECONDS in all calls at most.

        Call it when the page has loaded, and again before the print, for a banner that came later.
        """
        began = time.monotonic()
        try:
            until = began + REJECT_SECONDS - self._waited
            while self._is_pending() and (left := until - time.monotonic()) > 0:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left)
        finally:
            self._waited += time.monotonic() - began

    @property
    def outcome(self) -> ConsentOutcome:
        """The outcome for the banner so far."""
        return "failed" if self._open and not self._done else self._outcome

    @property
    def banner(self) -> str:
        """Autoconsent's name of the banner or its consent manager; empty if none was found."""
        return self._found

    def _is_pending(self) -> bool:
        """Returns whether a banner may still appear or is still to be handled."""
        if self._done or self._messages == 0:  # handled, or the page runs no script
            return False
        timer = self._opening or self._look
        return self._open or timer is None or not timer.done()

    def _received(self, frame: Frame, text: str) -> None:
        try:
            message = json.loads(text[:MESSAGE_CHARACTERS])
        except ValueError:
            message = None
        task = asyncio.create_task(self._receive(frame, message))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _receive(self, frame: Frame, message: Any) -> None:
        """Handles one message; the page, too, can send messages of any content."""
        self._messages += 1
        if self._messages > MESSAGES or not isinstance(message, dict):
            return
        match message:
            case {"type": "init"} if self._documents < FRAMES:
                self._documents += 1
                await self._answer(frame)
            case {"type": "report", "mainFrame": True, "state": {"findCmpAttempts": 2}} if self._look is None:
                self._look = asyncio.create_task(self._page_time(_REST))
            case {"type": "cmpDetected", "cmp": str(name)} if not self._open:
                self._found = name[:100]
                if self._opening is None:
                    self._opening = asyncio.create_task(self._page_time(OPEN_SECONDS))
            case {"type": "popupFound", "cmp": str(name)}:
                self._found, self._open, self._done = name[:100], True, False
            case {"type": "optOutResult", "result": False}:
                self._outcome, self._done = "failed", True
            case {"type": "autoconsentDone", "isCosmetic": cosmetic}:
                self._outcome, self._done = "hidden" if cosmetic else "rejected", True
        self._changed.set()

    async def _page_time(self, seconds: float) -> None:
        with contextlib.suppress(DevToolsError):  # the document has gone, and its banner with it
            await self._page.evaluate(_PAGE_TIME, seconds)
        self._changed.set()

    async def _answer(self, frame: Frame) -> None:
        reply = {
            "type": "initResp",
            "config": _CONFIG,
            "rules": {
                "autoconsent": [],
                "compact": self._lists.consent_rules(frame.url[:2048], top=frame.parent is None),
            },
        }
        with contextlib.suppress(DevToolsError):  # the frame has gone, or the page has removed the function
            await frame.evaluate("reply => { window.autoconsentReceiveMessage?.(reply) }", reply)
