"""Prints a page on paper as the options say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from functions.render.devtools.page import Page
from functions.render.page.cut import fit_scale
from functions.render.pdf.metadata import with_metadata
from functions.render.pdf.single_page import PX, one_page
from playwright_aws_lambda import DevToolsError
from urlshot.core.errors import Rejected
from urlshot.core.options import Metadata, Options, millimetres

_SHORT_AND_LONG = {
    "A0": (33.1, 46.8), "A1": (23.4, 33.1), "A2": (16.54, 23.4), "A3": (11.7, 16.54), "A4": (8.27, 11.7),
    "A5": (5.83, 8.27), "A6": (4.13, 5.83), "Letter": (8.5, 11), "Legal": (8.5, 14), "Tabloid": (11, 17),
    "Ledger": (17, 11),
}  # fmt: skip
"""The shorter and the longer side in inches, rounded as print dialogs of browsers do."""

_LINK, _STYLE = re.compile("<link", re.IGNORECASE), re.compile("<style", re.IGNORECASE)
_LOADS = re.compile(r"@import|@font-face|\\|&", re.IGNORECASE)
"""Rules that can load a file, and escapes in which they may be hidden."""

_NONE = "<span></span>"
_PAGE_NUMBERS = (
    '<div style="width:100%;text-align:center;font:8pt sans-serif">'
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)


async def fitted(page: Page, options: Options) -> Options:
    """Returns the options; with `fit: "width"`, at the scale at which the widest content fits the paper."""
    if options.fit != "width":
        return options
    scale = await fit_scale(page, window_of(options), options.scale)
    return options.model_copy(update={"scale": scale})


async def print_page(page: Page, options: Options, title: str, begun: Callable[[], None] = lambda: None) -> bytes:
    """Prints a page and returns the PDF.

    Args:
        page: The page.
        options: The job's options.
        title: The page's title, for the PDF if the options set other properties but no title.
        begun: Called once, when the print has begun or is over: a script that is evaluated from then on runs after it.

    Raises:
        Rejected: `invalid_option`: An option does not fit this page.
        DevToolsError: The browser could not print the page.
    """
    if options.media == "screen" or options.single_page:
        await page.set_media(options.media)
    await _check_templates(page, options)
    try:
        if options.single_page:
            pdf = await one_page(page, options, width_of(options), window_of(options), arguments(options))
            begun()
        else:
            pdf = await page.print(arguments(options), begun)
    except DevToolsError as error:
        if "age range" in error.message:
            raise Rejected(
                "invalid_option", f"page_ranges {options.page_ranges!r} names pages that the PDF does not have."
            ) from error
        if "content area" in error.message or "print parameters" in error.message:
            raise Rejected("invalid_option", "margin and scale leave no room on the paper.") from error
        raise
    return pdf if options.metadata == Metadata() else with_metadata(pdf, options.metadata, title)


async def _check_templates(page: Page, options: Options) -> None:
    """Prints an empty page with the templates if they could need a style sheet or a font from outside.

    Chromium's process for the page crashes if they do (measured with 147: `@import`, `<link rel=stylesheet>`,
    `@font-face`), and nothing tells that crash from one by the page itself. It only drops images, frames and scripts.

    Raises:
        Rejected: `invalid_option`: The empty page cannot be printed.
    """
    templates = options.header_template + options.footer_template
    if not (_LINK.search(templates) or (_STYLE.search(templates) and _LOADS.search(templates))):
        return
    if not page.can_open_others:  # a single process, which a crash would end
        return
    async with page.beside() as empty:
        try:
            await empty.print(arguments(options.model_copy(update={"page_ranges": ""})))
        except DevToolsError as error:
            raise Rejected(
                "invalid_option",
                "header_template or footer_template needs a style sheet or a font from outside. Use data: URLs.",
            ) from error


def arguments(options: Options) -> dict[str, Any]:
    """Returns the parameters of DevTools' `Page.printToPDF`, with lengths in inches."""
    width, height = _SHORT_AND_LONG[options.format]
    if options.height:
        width, height = millimetres(options.width) / 25.4, millimetres(options.height) / 25.4
    margin = options.margin
    found: dict[str, Any] = {
        "paperWidth": width,
        "paperHeight": height,
        "marginTop": millimetres(margin.top) / 25.4,
        "marginRight": millimetres(margin.right) / 25.4,
        "marginBottom": millimetres(margin.bottom) / 25.4,
        "marginLeft": millimetres(margin.left) / 25.4,
        "landscape": options.landscape,
        "printBackground": options.background,
        "scale": options.scale,
        "pageRanges": options.page_ranges,
        "preferCSSPageSize": options.css_page_size,
        "generateTaggedPDF": options.tagged,
        "generateDocumentOutline": options.outline,
    }
    footer = _PAGE_NUMBERS if options.page_numbers else options.footer_template
    if footer or options.header_template:
        # For an empty template Chromium prints its own, with date and title.
        found |= {
            "displayHeaderFooter": True,
            "headerTemplate": options.header_template or _NONE,
            "footerTemplate": footer or _NONE,
        }
    return found


def width_of(options: Options) -> float:
    """Returns the width of the paper in millimetres."""
    sides = [side * 25.4 for side in _SHORT_AND_LONG[options.format]]
    return millimetres(options.width) if options.width else sides[options.landscape]


def window_of(options: Options) -> int:
    """Returns the width between the margins of the sheet, in CSS pixels at the options' scale.

    Raises:
        Rejected: `invalid_option`: The margins leave no width.
    """
    across = width_of(options) - millimetres(options.margin.left) - millimetres(options.margin.right)
    if across <= 0:
        raise Rejected("invalid_option", "margin and scale leave no room on the paper.")
    return max(1, round(across / PX / options.scale))


def ratio_of(options: Options) -> float:
    """Returns the height of a sheet's content divided by its width, for sheets that have a `window_of`."""
    sides = [side * 25.4 for side in _SHORT_AND_LONG[options.format]]
    height = millimetres(options.height) if options.height else sides[not options.landscape]
    across = width_of(options) - millimetres(options.margin.left) - millimetres(options.margin.right)
    return max(0.1, height - millimetres(options.margin.top) - millimetres(options.margin.bottom)) / across
