"""From options to paper."""

from __future__ import annotations

import contextlib
from typing import Any

from playwright.async_api import Error, Page

from urlshot.errors import Rejected
from urlshot.options import MAX_SIDE_MM, MIN_SIDE_MM, Metadata, Options, millimetres

from .document import page_count
from .metadata import with_metadata

_PX = 25.4 / 96
"""Millimetres of a CSS pixel."""
_SHORT_AND_LONG = {
    "A0": (33.1, 46.8), "A1": (23.4, 33.1), "A2": (16.54, 23.4), "A3": (11.7, 16.54), "A4": (8.27, 11.7),
    "A5": (5.83, 8.27), "A6": (4.13, 5.83), "Letter": (8.5, 11), "Legal": (8.5, 14), "Tabloid": (11, 17),
    "Ledger": (17, 11),
}  # fmt: skip
"""Width and height in inches, as Playwright has them."""

_NONE = "<span></span>"
_PAGE_NUMBERS = (
    '<div style="width:100%;text-align:center;font:8pt sans-serif">'
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)

_NO_BREAKS = "*{break-before:auto!important;break-after:auto!important;break-inside:auto!important}"
_HEIGHT = """() => {
  const root = document.documentElement, body = document.body;
  // In quirks mode both are as high as the window, whatever is in them.
  const all = document.createRange();
  all.selectNodeContents(body || root);
  const boxes = document.compatMode === 'BackCompat' ? [all] : [all, root];
  const bottoms = boxes.map(box => box.getBoundingClientRect().bottom + scrollY);
  return Math.max(8, ...bottoms, root.scrollHeight > innerHeight ? root.scrollHeight : 0);
}"""


async def print_page(page: Page, options: Options, title: str) -> bytes:
    """Prints a page, whose title is the PDF's where the options have none.

    Raises:
        Rejected: `invalid_option`: an option does not fit this page. Playwright's own errors are let through.
    """
    if options.media == "screen":
        await page.emulate_media(media="screen")
    try:
        pdf = await (_one_page(page, options) if options.single_page else page.pdf(**arguments(options)))
    except Error as error:
        if "age range" in error.message:
            raise Rejected(
                "invalid_option", f"page_ranges {options.page_ranges!r} names pages that the PDF does not have."
            ) from error
        if "content area" in error.message or "print parameters" in error.message:
            raise Rejected("invalid_option", "margin and scale leave no room on the paper.") from error
        raise
    return pdf if options.metadata == Metadata() else with_metadata(pdf, options.metadata, title)


def arguments(options: Options) -> dict[str, Any]:
    """Arguments of Playwright's `page.pdf`."""
    paper = {"width": options.width, "height": options.height} if options.height else {"format": options.format}
    found: dict[str, Any] = {
        **paper,
        "landscape": options.landscape,
        "margin": options.margin.model_dump(),
        "print_background": options.background,
        "scale": options.scale,
        "page_ranges": options.page_ranges,
        "prefer_css_page_size": options.css_page_size,
        "tagged": options.tagged,
        "outline": options.outline,
    }
    footer = _PAGE_NUMBERS if options.page_numbers else options.footer_template
    if footer or options.header_template:
        # An empty one would be Chromium's own, with date and title.
        found |= {
            "display_header_footer": True,
            "header_template": options.header_template or _NONE,
            "footer_template": footer or _NONE,
        }
    return found


async def _one_page(page: Page, options: Options) -> bytes:
    """One page as high as the content: measured at the paper's width, and once more where that was not enough."""
    sides = [side * 25.4 for side in _SHORT_AND_LONG[options.format]]
    width = millimetres(options.width) if options.width else sides[options.landscape]
    margin = options.margin
    across = width - millimetres(margin.left) - millimetres(margin.right)
    if across <= 0:
        raise Rejected("invalid_option", "margin and scale leave no room on the paper.")
    with contextlib.suppress(Error):  # a page's Content-Security-Policy may forbid it; then its breaks stay
        await page.add_style_tag(content=_NO_BREAKS)
    if options.media == "print":
        await page.emulate_media(media="print")
    viewport = {"width": max(1, round(across / _PX / options.scale)), "height": options.viewport.height}
    await page.set_viewport_size(viewport)  # type: ignore[arg-type] # a TypedDict of the same keys
    content = float(await page.evaluate(_HEIGHT)) * _PX * options.scale
    around = millimetres(margin.top) + millimetres(margin.bottom)
    found = arguments(options)
    del found["format"]
    found["landscape"] = False
    pdf, spare = b"", 0.5
    for _ in range(3):
        height = min(MAX_SIDE_MM, max(MIN_SIDE_MM, content + around + spare))
        pdf = await page.pdf(**{**found, "width": f"{width:.2f}mm", "height": f"{height:.2f}mm"})
        if page_count(pdf) == 1 or height >= MAX_SIDE_MM:
            break
        spare = spare * 4 + content * 0.05
    return pdf
