"""Prepares a page for print as the browser would do it right before, but early enough to wait for the effects."""

from __future__ import annotations

import asyncio
import contextlib

from playwright.async_api import CDPSession, Error, Frame, Page

from functions.render.page.cut import OPEN_PIXELS, open_shell
from functions.render.page.scripts import ask_page, in_turn, script

_FRAME_SECONDS = 0.5
_TWO_FRAMES = 0.035


async def press(page: Page, session: CDPSession, media: str, *, scripts: bool) -> None:
    """Sets the media, opens an application shell, and sends `beforeprint` to every document.

    The browser sends `beforeprint` again when it prints; watch.js keeps that event from the page's handlers.

    Args:
        page: The page.
        session: A DevTools session of the page.
        media: `print` or `screen`.
        scripts: Whether the page may run scripts.

    Raises:
        Error: The page has gone.
    """
    await page.emulate_media(media="screen" if media == "screen" else "print")
    if not scripts:  # no handler receives the event, and watch.js does not run
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
