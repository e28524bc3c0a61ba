"""Polls the page's document and those of its frames until the page is at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions.render.devtools.frames import Frame
from functions.render.devtools.page import Page
from functions.render.page.loading import Loading
from functions.render.page.scripts import gone, script
from functions.render.page.witness import Witness
from playwright_aws_lambda import DevToolsError, Navigated

QUIET_SECONDS = 0.25
"""Time without an end of a script's request after which the network counts as quiet."""
STILL_SECONDS = 0.1
"""Time without a change of the document after which it counts as still; also the shortest wait if it has scripts."""
AFTER_SECONDS = 0.03
"""Time without an end of any request after which the network counts as quiet: a script may react to that end."""
POLL_SECONDS = 0.02
MOTION_SECONDS = 3.0
"""Longest wait for changes and timers to end. Many pages never stop moving, and print well all the same."""
AGAIN_SECONDS = 0.5
"""Shortest limit for a further wait of the same kind, when earlier waits have used up MOTION_SECONDS."""
UNKNOWN_SECONDS = 1.0
"""Wait for a page that cannot be polled."""
FRAMES = 40
"""Most frames that are polled."""
FRAME_SECONDS = 0.5
"""Longest wait for the answer of a frame; a slower frame is not polled again."""

LIMITS = {"timer": 2000, "again": 1000, "loop": 500, "task": 2000, "socket": 2000, "worker": 1500}
"""Milliseconds for which work of scripts counts as pending.

A timer is pending if it is due within `timer` after the last effect: a change, the end of a request, or the like. The
limit is `again` for idle callbacks and if the timer's callback has been set before. It is `loop` for intervals,
callbacks set more than three times, animation frames and message ports. A promise, of storage for example, is pending
for `task` at most; a WebSocket or an event stream that waits for a message for `socket`, and a worker for `worker`.
"""


@dataclass(frozen=True)
class State:
    """The state of one document, or of a page with its frames.

    `images` are not loaded, `playing` animations have just been put at their end, `pending` is the number of pieces of
    work of scripts, and `silent` the number of open connections without a message. `still` is the time since the last
    change in milliseconds. `height` of the content and `window` are pixels of the page itself.
    """

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
        """Whether fonts, images or ends of animations are still to come."""
        return not self.fonts or self.images > 0 or self.playing > 0


def read(answer: Any) -> State:
    """Reads the answer of ask.js; an answer that cannot be read counts as at rest."""
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
    """Returns the state of a page together with those of its frames."""
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
    """Polls one page."""

    def __init__(self, page: Page, witness: Witness, loading: Loading, *, scripts: bool, wakes: bool) -> None:
        """Takes the page.

        Args:
            page: The page.
            witness: Observes the page's requests.
            loading: Follows the page's navigations.
            scripts: Whether the page may run scripts.
            wakes: Whether a poll makes images and frames load that would load when they come into view.
        """
        self._wakes = wakes
        self._page = page
        self._witness = witness
        self._loading = loading
        self._scripts = scripts
        self._mute: set[Frame] = set()
        self.loading = False
        """Whether content was still to come at the last poll of `quiet()`."""
        self.silent = 0
        self.state = State()
        """The state at the last poll."""
        self._unknown = 0.0
        """Monotonic time of the first failed poll; 0 before."""
        self._moved = 0.0

    def question(self) -> list[Any]:
        """Returns the argument of ask.js."""
        return [min(self._witness.silence() * 1000, 1e9), LIMITS, self._wakes]

    async def ask(self) -> State:
        """Polls the page and its frames.

        Raises:
            DevToolsError: The page has gone.
        """
        question = self.question()
        others = [frame for frame in self._page.frames.others()[:FRAMES] if frame not in self._mute]
        frames = asyncio.gather(*(self._ask_frame(frame, question) for frame in others)) if others else None
        try:
            page = read(await self._page.evaluate(script("ask"), question))
        except DevToolsError as error:
            if gone(error):
                raise
            self._unknown = self._unknown or time.monotonic()
            page = State(scripts=True, pending=int(time.monotonic() - self._unknown < UNKNOWN_SECONDS))
        finally:
            found = await frames if frames is not None else []
        self.state = state = together(page, found)
        self.silent = state.silent
        return state

    async def _ask_frame(self, frame: Frame, question: list[Any]) -> State:
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                return read(await frame.evaluate(script("ask"), question))
        except TimeoutError:
            self._mute.add(frame)
        except DevToolsError:  # the frame has gone or navigates; the network is busy with its next document
            pass
        return State()

    async def quiet(
        self, deadline: float, *, again: bool = False, stays: Callable[[], bool] = lambda: True
    ) -> tuple[float, float, bool]:
        """Waits for content, then for the end of motion.

        Args:
            deadline: The end of the wait on the monotonic clock.
            again: True if the page was at rest a moment ago; the shortest wait of STILL_SECONDS then does not apply.
            stays: Returns whether the page still has the document that is waited for.

        Returns:
            Seconds of the wait for content, seconds of the wait for motion, and whether motion went beyond its limit.

        Raises:
            Navigated: The page has another document.
            DevToolsError: The page has gone.
        """
        began = last = time.monotonic()
        motion = 0.0
        most = max(MOTION_SECONDS - self._moved, AGAIN_SECONDS)
        while True:
            state = await self.ask()
            if not stays():
                raise Navigated("the page has another document")
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
        """Returns whether all requests have ended, and long enough ago that a script has reacted to them."""
        return not self._witness.busy() and self._witness.silence() >= STILL_SECONDS

    def _is_there(self, state: State, began: float) -> bool:
        if state.loading or self._witness.busy() or self._loading.leaves:
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
