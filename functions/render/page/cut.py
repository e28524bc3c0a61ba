"""Finds content that is cut off on the paper: beyond the edge of the sheet, or in a box that scrolls or hides it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from functools import cache

from functions.render.devtools.frames import Frame
from functions.render.devtools.page import Page
from functions.render.page.rest import FRAME_SECONDS, FRAMES
from functions.render.page.scripts import gone, number, script
from playwright_aws_lambda import DevToolsError

SHRINK = 1.5
"""For a wide page Chromium makes the layout up to this factor wider than the sheet and scales it down (measured)."""
OPEN_PIXELS = 60_000
"""Largest content height, in pixels, of a box of an application shell that is opened for print."""


async def open_shell(page: Page) -> int:
    """Opens the scrolling boxes of a page that is locked to the window; returns their number."""
    return await _asked(page, "open", OPEN_PIXELS)


async def count_lost(page: Page, window: int | None, ratio: float | None, *, for_print: bool) -> tuple[int, int]:
    """Returns the number of places where content is cut off on the sheets, and of fixed boxes that hide text on them.

    Call it after the print. It leaves the window as wide as the sheet.

    Args:
        page: The page, which has been printed.
        window: Width of the sheet in CSS pixels; None if the page sets its own size, which keeps the window.
        ratio: Height of a sheet's content divided by its width; None to count no boxes.
        for_print: Whether to apply the print media first.
    """
    width, height = page.window
    changes: list[Awaitable[None]] = [page.set_media("print")] if for_print else []
    if window not in {None, width}:
        changes.append(page.set_window(window or 0, height))
    await asyncio.gather(*changes)  # together, so that the browser lays the page out only once
    if window is None:
        return await _everywhere(page, 1_000_000, ratio)
    wide, cut, covered = await _counted(page, 1, ratio, window)
    if wide > window:  # the browser does the same when it prints
        await page.set_window(min(wide, math.floor(window * SHRINK)), height)
        return await _everywhere(page, 1, ratio)
    return cut + await _in_frames(page, 1), covered


async def is_plain(page: Page) -> bool:
    """Returns whether no box of the page can cut off or hide content; only the edge of the sheet can."""
    if page.frames.others():
        return False
    try:
        return (await page.evaluate(script("plain")))["plain"] is True
    except (DevToolsError, TypeError, KeyError) as error:
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return False  # the page has changed its own objects


async def print_headers_once(page: Page, ratio: float) -> int:
    """Keeps fixed headers that hide text on the first sheet; returns their number. Call it after `count_lost`."""
    return await _asked(page, "covered", [ratio, True])


async def fit_scale(page: Page, window: int, scale: float) -> float:
    """Returns the scale at which the page's content fits the width of the sheet.

    Args:
        page: The page.
        window: Width of the sheet in CSS pixels at `scale`.
        scale: The scale that the caller asked for.
    """
    height = page.window[1]
    width = window
    for _ in range(3):
        await page.set_window(width, height)
        wide = await _asked_width(page)
        if wide <= width:
            break
        width = wide
    return max(0.1, math.floor(scale * window / width * 1000) / 1000)


async def _asked_width(page: Page) -> int:
    try:
        found = await page.evaluate("() => (document.scrollingElement || document.documentElement).scrollWidth")
        return int(number(found))
    except (DevToolsError, ValueError) as error:
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return 0


async def _asked(page: Page, name: str, argument: object) -> int:
    try:
        return int(number(await page.evaluate(script(name), argument)))
    except (DevToolsError, ValueError) as error:  # a page that has changed its own objects stays as it is
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return 0


async def _everywhere(page: Page, sheet: int, ratio: float | None) -> tuple[int, int]:
    _, cut, covered = await _counted(page, sheet, ratio, 0)
    return cut + await _in_frames(page, sheet), covered


async def _counted(page: Page, sheet: int, ratio: float | None, window: int) -> tuple[int, int, int]:
    """Returns the width of the page's content, and the counts; (width, 0, 0) if it is wider than `window`, unless 0."""
    try:
        wide, cut, covered = await page.evaluate(_counting(), [sheet, ratio, window])
        return int(number(wide)), int(number(cut)), int(number(covered))
    except (DevToolsError, TypeError, ValueError) as error:  # a page that has changed its own objects stays as it is
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return 0, 0, 0


@cache
def _counting() -> str:
    """Returns a script that counts in one call; a part of it that fails counts 0."""
    return f"""given => {{
  const attempt = work => {{ try {{ return work(); }} catch {{ return 0; }} }};
  const wide = attempt(() => (document.scrollingElement || document.documentElement).scrollWidth);
  if (given[2] && wide > given[2]) return [wide, 0, 0];
  const cut = attempt(() => ({script("cut")})(given[0]));
  return [wide, cut, given[1] === null ? 0 : attempt(() => ({script("covered")})([given[1], false]))];
}}"""


async def _in_frames(page: Page, sheet: int) -> int:
    async def of_frame(frame: Frame) -> int:
        try:
            async with asyncio.timeout(FRAME_SECONDS):
                return int(number(await frame.evaluate(script("cut"), sheet)))
        except (DevToolsError, TimeoutError, ValueError):
            return 0

    return sum(await asyncio.gather(*(of_frame(frame) for frame in page.frames.others()[:FRAMES])))
