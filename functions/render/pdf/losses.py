"""Finds what the paper shows, and what it lacks of the page: content that is cut off, or hidden by boxes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from functions.render.devtools.page import Page
from functions.render.page.cut import count_lost
from functions.render.pdf.ink import Ink, ink
from functions.render.pdf.paper import ratio_of, window_of
from playwright_aws_lambda import DevToolsError
from urlshot.core.options import Options

_SAME_SCALE = 1e-4
"""Largest difference of two scales that are the same; content that is 3 pixels too wide makes a larger one."""


async def losses(
    page: Page, pdf: bytes, options: Options, seconds: float, plain: Awaitable[bool]
) -> tuple[Ink, int, int]:
    """Returns what a PDF shows, how many places are cut off on it, and how many fixed boxes hide text.

    The page has been printed, so a page that fails from here on does not fail the job.

    Args:
        page: The page, still open.
        pdf: Its PDF.
        options: The options of the print.
        seconds: The longest time for each answer of the page.
        plain: The page's answer whether it is known that no box of it can cut off content.
    """
    paper = asyncio.create_task(asyncio.to_thread(ink, pdf))  # while the browser counts
    is_plain = False
    with contextlib.suppress(TimeoutError):
        is_plain = await asyncio.wait_for(plain, seconds)
    if is_plain and abs((await paper).scale - options.scale) < _SAME_SCALE:
        # Nothing is cut off or hidden. It would take as long as a third of the print to lay the page out again.
        return await paper, 0, 0
    cut, covered = await _counted(page, options, seconds)
    return await paper, cut, covered


async def _counted(page: Page, options: Options, seconds: float) -> tuple[int, int]:
    # A sheet of the page's own size is of unknown height; a box without its background hides nothing.
    counts_boxes = options.background and not options.css_page_size and not options.single_page
    ratio = ratio_of(options) if counts_boxes else None
    with contextlib.suppress(DevToolsError, TimeoutError):
        async with asyncio.timeout(seconds):
            window = None if options.css_page_size else window_of(options)
            return await count_lost(page, window, ratio, for_print=options.media == "print")
    return 0, 0
