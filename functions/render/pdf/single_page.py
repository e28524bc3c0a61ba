"""Prints a page on one sheet that is as high as its content."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from functions.render.devtools.page import Page
from functions.render.page.scripts import number, script
from functions.render.pdf.document import page_count
from playwright_aws_lambda import DevToolsError
from urlshot.core.options import MAX_SIDE_MM, MIN_SIDE_MM, Options, millimetres

PX = 25.4 / 96
"""Millimetres in a CSS pixel."""
_TRIES = 3
_SPARE_MM = 0.5


async def one_page(page: Page, options: Options, width: float, window: int, arguments: dict[str, Any]) -> bytes:
    """Prints a page on one sheet; makes the sheet higher if the content does not fit.

    Args:
        page: The page, with the print media.
        options: The job's options.
        width: Width of the sheet in millimetres.
        window: Width of the sheet's content in CSS pixels, at which the content is measured.
        arguments: The other parameters of `Page.print`.

    Raises:
        DevToolsError: The browser could not print the page.
    """
    margin = options.margin
    margins = " ".join((margin.top, margin.right, margin.bottom, margin.left))
    around = millimetres(margin.top) + millimetres(margin.bottom)
    with contextlib.suppress(DevToolsError):  # a page that has changed its own objects keeps its page breaks
        await page.evaluate(script("sheet"), [width, MAX_SIDE_MM, margins])
    content = await _measure(page, window, options.viewport.height) * PX * options.scale
    found = {**arguments, "landscape": False, "preferCSSPageSize": True, "paperWidth": width / 25.4}
    pdf, spare = b"", _SPARE_MM
    for _ in range(_TRIES):
        height = min(MAX_SIDE_MM, max(MIN_SIDE_MM, content + around + spare))
        with contextlib.suppress(DevToolsError):
            await page.evaluate(script("sheet"), [f"{width:.2f}", f"{height:.2f}", margins])
        pdf = await page.print({**found, "paperHeight": height / 25.4})
        if page_count(pdf) == 1 or height >= MAX_SIDE_MM:
            break
        spare = spare * 4 + content * 0.05
    return pdf


async def _height(page: Page) -> float:
    """Returns the height of the content in pixels; 0 if the page has changed what the script asks."""
    try:
        return number(await page.evaluate(script("height")))
    except ValueError:
        return 0.0


async def _measure(page: Page, width: int, height: int) -> float:
    """Returns the height of the content in pixels, and makes it independent of the height of the sheet.

    On paper `vh` is a part of the sheet's height, so a block of 100vh would always fill the sheet, however high it is.
    If such lengths matter, they are fixed at their values in a window of `height` pixels.
    """
    await page.set_window(width, height)
    content = await _height(page)
    high = max(height, math.ceil(content))
    if high == height:
        high += 400
    with contextlib.suppress(DevToolsError):
        await page.evaluate(script("lengths"), True)
        await page.set_window(width, high)
        if abs(await _height(page) - content) > 1:
            await page.evaluate(script("lengths"), False)
    await page.set_window(width, height)
    return await _height(page)
