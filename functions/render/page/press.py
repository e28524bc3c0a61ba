"""Prepares a page for print as the browser would do it right before, but early enough to wait for the effects."""

from __future__ import annotations

import asyncio
import contextlib

from functions.render.devtools.frames import Frame
from functions.render.devtools.page import Page
from functions.render.page.cut import OPEN_PIXELS, open_shell
from functions.render.page.scripts import in_turn, script
from playwright_aws_lambda import DevToolsError

_FRAME_SECONDS = 0.5
_TWO_FRAMES = 0.035


async def press(page: Page, media: str, *, scripts: bool) -> None:
    """Sets the media, opens an application shell, and sends `beforeprint` to every document.

    The browser sends `beforeprint` again when it prints; watch.js keeps that event from the page's handlers.

    Args:
        page: The page.
        media: `print` or `screen`.
        scripts: Whether the page may run scripts.

    Raises:
        DevToolsError: The page has gone.
    """
    await page.set_media("screen" if media == "screen" else "print")
    if not scripts:  # no handler receives the event, and watch.js does not run
        await open_shell(page)
        await asyncio.sleep(_TWO_FRAMES)
        return
    frames = [_send(frame) for frame in page.frames.others()]
    others = asyncio.gather(*frames) if frames else None
    try:
        await page.evaluate(in_turn("open", "press"), [OPEN_PIXELS, None])
    finally:
        if others is not None:
            await others


async def _send(frame: Frame) -> None:
    with contextlib.suppress(DevToolsError, TimeoutError):
        async with asyncio.timeout(_FRAME_SECONDS):
            await frame.evaluate(script("press"))
