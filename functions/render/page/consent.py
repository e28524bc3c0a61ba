"""Says no to a page's cookie banner, by DuckDuckGo's autoconsent, which knows some 800 of them.

Its content script runs in every frame and talks by messages (its docs/api.md): `init` is answered with settings and
rules; `report` tells how far it is in that frame; `autoconsentDone` that a banner is dealt with. It never asks us to
evaluate anything, because it is told that it lives in the page's own world.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from playwright.async_api import Error, Frame, Page

from functions.render.page.tidy_lists import TidyLists
from urlshot.core.render_contract import ConsentOutcome

OPEN_SECONDS = 1.2
"""How long a consent manager that was found may take to show its banner; many show none, depending on the country."""
REJECT_SECONDS = 3.0
"""Longest wait in all, after which the page is printed with whatever stands there."""

MESSAGES = 2000
"""Messages that are listened to; a page may call the binding too."""
FRAMES = 20
"""Documents that get the rules, which are 100 kB."""
_REST = 0.1
"""Seconds from the beginning of autoconsent's second look, which it reports, to its end, which it does not report.

It looks twice, half a second apart. These seconds and OPEN_SECONDS are counted by the page's own timers, so that a page
that is slow, or a machine that is busy, has the look that others have.
"""
_PAGE_TIME = "seconds => new Promise(done => setTimeout(done, seconds * 1000))"

_CONFIG = {
    "enabled": True,
    "autoAction": "optOut",
    "enablePrehide": True,  # out of sight from the first moment; shown again if there is no way to say no
    "prehideTimeout": int(REJECT_SECONDS * 1000),
    "isMainWorld": True,
    "enableHeuristicDetection": True,
    "heuristicMode": "reject",  # unknown banners: only by a button that says no, never by one that says yes
    "detectRetries": 20,
    "logs": dict.fromkeys(
        ("lifecycle", "rulesteps", "detectionsteps", "evals", "errors", "messages", "waits"), False
    ),  # the page's console is the page's
}
_BINDING = "autoconsentSendMessage"


class Consent:
    """Autoconsent in one page."""

    def __init__(self, page: Page, lists: TidyLists) -> None:
        self._page = page
        self._lists = lists
        self._messages = 0
        self._documents = 0
        self._waited = 0.0
        self._found = ""
        self._look: asyncio.Task[None] | None = None
        """Ends when the second look is over."""
        self._opening: asyncio.Task[None] | None = None
        """Ends when the consent manager that was found has had its time to show a banner."""
        self._open = False
        self._outcome: ConsentOutcome = "none"
        self._done = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Puts the script into every document to come; call before the page is opened."""
        await self._page.expose_binding(_BINDING, self._receive)
        await self._page.add_init_script(self._lists.consent_script)

    async def wait(self) -> None:
        """Waits until no banner is there or the one that is has been answered, REJECT_SECONDS in all at most.

        To be called when the page stands, and again before it is printed: a banner that came later is then waited for.
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
        """What became of the banner so far."""
        return "failed" if self._open and not self._done else self._outcome

    @property
    def banner(self) -> str:
        """Autoconsent's name for what it found; empty if nothing."""
        return self._found

    def _is_pending(self) -> bool:
        """Whether a banner may still come, or the one that is there be answered."""
        if self._done or self._messages == 0:  # answered; or no script runs there
            return False
        timer = self._opening or self._look
        return self._open or timer is None or not timer.done()

    async def _receive(self, source: dict[str, Any], message: Any) -> None:
        """One message; from a page that may send anything."""
        self._messages += 1
        if self._messages > MESSAGES or not isinstance(message, dict):
            return
        match message:
            case {"type": "init"} if self._documents < FRAMES:
                self._documents += 1
                await self._answer(source["frame"])
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
        with contextlib.suppress(Error):  # the document is gone, and its banner with it
            await self._page.evaluate(_PAGE_TIME, seconds)
        self._changed.set()

    async def _answer(self, frame: Frame) -> None:
        reply = {
            "type": "initResp",
            "config": _CONFIG,
            "rules": {
                "autoconsent": [],
                "compact": self._lists.consent_rules(frame.url[:2048], top=not frame.parent_frame),
            },
        }
        with contextlib.suppress(Error):  # the frame is gone, or the page has taken the function away
            await frame.evaluate("reply => { window.autoconsentReceiveMessage?.(reply) }", reply)
