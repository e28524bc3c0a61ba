"""Finds content that is cut off on the paper: beyond the edge of the sheet, or in a box that scrolls or hides it."""

from __future__ import annotations

import asyncio
import math

from playwright.async_api import Error, Page

from functions.render.page.rest import FRAME_SECONDS, FRAMES
from functions.render.page.scripts import gone, number, script

SHRINK = 1.5
"""For a wide page Chromium makes the layout up to this factor wider than the sheet and scales it down (measured)."""
OPEN_PIXELS = 60_000
"""Largest content height, in pixels, of a box of an application shell that is opened for print."""


async def open_shell(page: Page) -> int:
    """Opens the scrolling boxes of a page that is locked to the window; returns their number."""
    return await _asked(page, "open", OPEN_PIXELS)


async def count_cut(page: Page, window: int | None) -> int:
    """Returns the number of places where content is cut off on the sheet. Call it after the print.

    Args:
        page: The page, which has been printed.
        window: Width of the sheet in CSS pixels; None if the page sets its own size, which keeps the window.
    """
    width = page.viewport_size["width"] if page.viewport_size else 0
    if window is None:
        return await _everywhere(page, 1_000_000)
    height = page.viewport_size["height"] if page.viewport_size else 720
    if window != width:
        await page.set_viewport_size({"width": window, "height": height})
    wide = await _asked_width(page)
    if wide > window:  # the browser does the same when it prints
        await page.set_viewport_size({"width": min(wide, math.floor(window * SHRINK)), "height": height})
    return await _everywhere(page, 1)


async def count_covered(page: Page, ratio: float) -> int:
    """Returns the number of fixed boxes that hide text on the sheets.

    Call it after `count_cut`, which makes the window as wide as the sheet.

    Args:
        page: The page, which has been printed.
        ratio: Height of a sheet's content divided by its width.
    """
    return await _asked(page, "covered", [ratio, False])


async def print_headers_once(page: Page, ratio: float) -> int:
    """Keeps fixed headers that hide text on the first sheet; returns their number. See `count_covered`."""
    return await _asked(page, "covered", [ratio, True])


async def fit_scale(page: Page, window: int, scale: float) -> float:
    """Returns the scale at which the page's content fits the width of the sheet.

    Args:
        page: The page.
        window: Width of the sheet in CSS pixels at `scale`.
        scale: The scale that the caller asked for.
    """
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
        return int(number(found))
    except (Error, ValueError) as error:
        if isinstance(error, Error) and gone(error):
            raise
        return 0


async def _asked(page: Page, name: str, argument: object) -> int:
    try:
        return int(number(await page.evaluate(script(name), argument)))
    except (Error, ValueError) as error:  # a page that has changed its own objects stays as it is
        if isinstance(error, Error) and gone(error):
            raise
        return 0


async def _everywhere(page: Page, argument: int) -> int:
    async def of_frame(index: int) -> int:
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                return int(number(await page.frames[index].evaluate(script("cut"), argument)))
        except (Error, TimeoutError, ValueError, IndexError):
            return 0

    others = asyncio.gather(*(of_frame(index) for index in range(1, min(len(page.frames), FRAMES + 1))))
    try:
        found = await _asked(page, "cut", argument)
    finally:
        frames = await others
    return found + sum(frames)
