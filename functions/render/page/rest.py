"""Whether a page is at rest, asked of every document that can be reached: the page's own and those of its frames."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from playwright.async_api import CDPSession, Error, Frame, Page

from functions.render.page.scripts import ask_page, gone, script
from functions.render.page.witness import Witness

QUIET_SECONDS = 0.25
"""Silence after a request of a script's, before the network counts as quiet."""
STILL_SECONDS = 0.1
"""The same for changes of the document, and after the load of a page that has scripts at all."""
AFTER_SECONDS = 0.03
"""The same for any other request, whose end a script may use."""
POLL_SECONDS = 0.02
MOTION_SECONDS = 3.0
"""Longest wait for changes and timers to end: many pages never stop to move, and are no worse for it on paper."""
AGAIN_SECONDS = 0.5
"""The same, where that time has been used up before and something new has begun."""
UNKNOWN_SECONDS = 1.0
"""Wait for a page that has made itself impossible to ask."""
FRAMES = 40
"""Frames that are asked."""
FRAME_SECONDS = 0.5
"""Longest that the answer of a frame may take; a frame that takes longer is not asked again."""

LIMITS = {"timer": 2000, "again": 1000, "loop": 500, "task": 2000, "socket": 2000, "worker": 1500}
"""Milliseconds that what scripts have started is waited for.

A timer counts where it ends so soon after the last thing that had an effect. It has to end sooner where its callback
has been set before (`again`), and sooner still where it is an interval, or has been set more than three times, or is an
animation frame (`loop`). A promise of storage and the like, and a socket or worker until its first message, count for
so long at most.
"""


@dataclass(frozen=True)
class State:
    """What the documents are about. `still` is milliseconds since the last change; `height` and `window` are the
    page's own, in pixels."""

    fonts: bool = True
    images: int = 0
    playing: int = 0
    scripts: bool = False
    pending: int = 0
    silent: int = 0
    still: float = 1e9
    observers: int = 0
    height: int = 0
    window: int = 1

    @property
    def loading(self) -> bool:
        """Whether something is still to come that the page has asked for."""
        return not self.fonts or self.images > 0 or self.playing > 0


def read(answer: Any) -> State:
    """A document's answer; what counts for one that has made itself impossible to ask is that it is at rest."""
    if not isinstance(answer, dict):
        return State()
    try:
        return State(
            fonts=bool(answer["fonts"]),
            images=int(answer["images"]),
            playing=int(answer["playing"]),
            scripts=bool(answer["scripts"]),
            pending=int(answer["pending"]),
            silent=int(answer["silent"]),
            still=float(answer["still"]),
            observers=int(answer["observers"]),
            height=int(answer["height"]),
            window=max(1, int(answer["window"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return State()


def together(page: State, frames: list[State]) -> State:
    """The page's state with those of its frames."""
    everything = [page, *frames]
    return State(
        fonts=all(state.fonts for state in everything),
        images=sum(state.images for state in everything),
        playing=sum(state.playing for state in everything),
        scripts=any(state.scripts for state in everything),
        pending=sum(state.pending for state in everything),
        silent=sum(state.silent for state in everything),
        still=min(state.still for state in everything),
        observers=sum(state.observers for state in everything),
        height=page.height,
        window=page.window,
    )


class Rest:
    """Asks one page."""

    def __init__(self, page: Page, session: CDPSession, witness: Witness, *, scripts: bool) -> None:
        self._page = page
        self._session = session
        self._witness = witness
        self._scripts = scripts
        self._mute: set[Frame] = set()
        self.loading = False
        """Whether the last `quiet()` was given up with something still to come."""
        self.silent = 0
        self._unknown = 0.0
        """When the page could not be asked for the first time."""
        self._moved = 0.0

    async def ask(self) -> State:
        """The state of the page and its frames; raises Playwright's errors of pages that have gone."""
        silence = min(self._witness.silence() * 1000, 1e9)
        question = [silence, LIMITS]
        others = [frame for frame in self._page.frames[1 : FRAMES + 1] if frame not in self._mute]
        frames = asyncio.gather(*(self._ask_frame(frame, question) for frame in others)) if others else None
        try:
            page = read(await ask_page(self._page, self._session, script("ask"), question))
        except Error as error:
            if gone(error):
                raise
            self._unknown = self._unknown or time.monotonic()
            page = State(scripts=True, pending=int(time.monotonic() - self._unknown < UNKNOWN_SECONDS))
        finally:
            found = await frames if frames is not None else []
        state = together(page, found)
        self.silent = state.silent
        return state

    async def _ask_frame(self, frame: Frame, question: list[Any]) -> State:
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                return read(await frame.evaluate(script("ask"), question))
        except TimeoutError:
            self._mute.add(frame)
        except Error:  # the frame has gone or is going: then the network is busy with it
            pass
        return State()

    async def quiet(self, deadline: float, *, again: bool = False) -> tuple[float, float, bool]:
        """Waits for content, then for motion to end, until `deadline` at the latest.

        `again`: the page was at rest a moment ago, so only what has begun since then is waited for.

        Returns:
            Seconds of either, and whether the motion went on beyond its limit.
        """
        began = last = time.monotonic()
        motion = 0.0
        most = max(MOTION_SECONDS - self._moved, AGAIN_SECONDS)
        while True:
            state = await self.ask()
            now = time.monotonic()
            self.loading = not self._is_there(state, began if not again else float("-inf"))
            if not self.loading:
                if self._is_still(state):
                    return now - began - motion, motion, False
                motion += now - last
                self._moved += now - last
                if motion >= most:
                    return now - began - motion, motion, True
            if now >= deadline:
                return now - began - motion, motion, not self.loading
            last = now
            await asyncio.sleep(POLL_SECONDS)

    def network_is_quiet(self) -> bool:
        """Whether requests have ended, for long enough that a script would have gone on with them."""
        return not self._witness.busy() and self._witness.silence() >= STILL_SECONDS

    def _is_there(self, state: State, began: float) -> bool:
        if state.loading or self._witness.busy():
            return False
        if not self._scripts or not state.scripts:
            return True
        if self._witness.since_last() < AFTER_SECONDS or self._witness.silence() < QUIET_SECONDS:
            return False
        return time.monotonic() - began >= STILL_SECONDS

    def _is_still(self, state: State) -> bool:
        if not self._scripts or not state.scripts:
            return True
        return state.pending == 0 and state.still >= STILL_SECONDS * 1000
