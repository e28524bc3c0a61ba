"""What the browser does to a page right before it prints, done early: so that what it brings can be waited for."""

from __future__ import annotations

import asyncio
import contextlib

from playwright.async_api import CDPSession, Error, Frame, Page

from functions.render.page.cut import OPEN_PIXELS, open_shell
from functions.render.page.scripts import ask_page, in_turn, script

_FRAME_SECONDS = 0.5
_TWO_FRAMES = 0.035


async def press(page: Page, session: CDPSession, media: str, *, scripts: bool) -> None:
    """Sets the media, `print` or `screen`, opens an application shell, and sends `beforeprint` to every document.

    The browser sends it again as it prints; that one does not reach the page's handlers (watch.js).

    Raises Playwright's errors of a page that has gone.
    """
    await page.emulate_media(media="screen" if media == "screen" else "print")
    if not scripts:  # then nothing hears the event, and no script of ours is told of frames
        await open_shell(page)
        await asyncio.sleep(_TWO_FRAMES)
        return
    frames = [_send(frame) for frame in page.frames[1:]]
    others = asyncio.gather(*frames) if frames else None
    try:
        await ask_page(page, session, in_turn("open", "press"), [OPEN_PIXELS, None])
    finally:
        if others is not None:
            await others


async def _send(frame: Frame) -> None:
    with contextlib.suppress(Error, TimeoutError):
        async with asyncio.timeout(_FRAME_SECONDS):
            await frame.evaluate(script("press"))
