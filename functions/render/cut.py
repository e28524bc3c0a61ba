"""Whether content is cut off on the paper: beyond the sheet's edge, or in a box that scrolls on the screen."""

from __future__ import annotations

import asyncio
import math

from playwright.async_api import Error, Page

from .rest import FRAME_SECONDS, FRAMES
from .scripts import gone, script

SHRINK = 1.5
"""Chromium lays a page out up to so many times wider than the sheet and scales it down to fit (measured)."""
OPEN_PIXELS = 60_000
"""Height up to which a box of an application shell is opened for print."""


async def open_shell(page: Page) -> int:
    """Opens the boxes of a page that is locked to the window; their number."""
    return await _asked(page, "open", OPEN_PIXELS)


async def count_cut(page: Page, window: int | None) -> int:
    """Number of places where content is cut off on a sheet of `window` CSS pixels; call after the page was printed.

    None stands for a sheet of the page's own size: then the window stays as it is.
    """
    width = page.viewport_size["width"] if page.viewport_size else 0
    if window is None:
        return await _everywhere(page, 1_000_000)
    height = page.viewport_size["height"] if page.viewport_size else 720
    if window != width:
        await page.set_viewport_size({"width": window, "height": height})
    wide = await _asked_width(page)
    if wide > window:  # as the browser does when it prints
        await page.set_viewport_size({"width": min(wide, math.floor(window * SHRINK)), "height": height})
    return await _everywhere(page, 1)


async def count_covered(page: Page, ratio: float) -> int:
    """Number of fixed boxes that hide text on the sheets, whose content is `ratio` times as high as it is wide.

    Call after `count_cut`, which makes the window as wide as the sheet.
    """
    return await _asked(page, "covered", ratio)


async def fit_scale(page: Page, window: int, scale: float) -> float:
    """The scale at which the page's content is no wider than a sheet of `window` CSS pixels at `scale`."""
    height = page.viewport_size["height"] if page.viewport_size else 720
    width = window
    for _ in range(3):
        await page.set_viewport_size({"width": width, "height": height})
        wide = await _asked_width(page)
        if wide <= width:
            break
        width = wide
    return max(0.1, math.floor(scale * window / width * 1000) / 1000)


async def _asked_width(page: Page) -> int:
    try:
        found = await page.evaluate("() => (document.scrollingElement || document.documentElement).scrollWidth")
        return int(found)
    except (Error, TypeError, ValueError) as error:
        if isinstance(error, Error) and gone(error):
            raise
        return 0


async def _asked(page: Page, name: str, argument: float) -> int:
    try:
        return int(await page.evaluate(script(name), argument))
    except (Error, TypeError, ValueError) as error:  # a page that has changed its own objects is taken as it is
        if isinstance(error, Error) and gone(error):
            raise
        return 0


async def _everywhere(page: Page, argument: int) -> int:
    async def of_frame(index: int) -> int:
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                return int(await page.frames[index].evaluate(script("cut"), argument))
        except (Error, TimeoutError, TypeError, ValueError, IndexError):
            return 0

    others = asyncio.gather(*(of_frame(index) for index in range(1, min(len(page.frames), FRAMES + 1))))
    try:
        found = await _asked(page, "cut", argument)
    finally:
        frames = await others
    return found + sum(frames)
