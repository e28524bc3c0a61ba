"""From options to paper."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Error, Page

from urlshot.errors import Rejected
from urlshot.options import Options


async def print_page(page: Page, options: Options) -> bytes:
    """Prints a page.

    Raises:
        Rejected: `invalid_option`: an option does not fit this page. Playwright's own errors are let through.
    """
    try:
        return await page.pdf(**arguments(options))
    except Error as error:
        if "age range" in error.message:
            raise Rejected(
                "invalid_option", f"page_ranges {options.page_ranges!r} names pages that the PDF does not have."
            ) from error
        if "content area" in error.message or "print parameters" in error.message:
            raise Rejected("invalid_option", "margin and scale leave no room on the paper.") from error
        raise


def arguments(options: Options) -> dict[str, Any]:
    """Arguments of Playwright's `page.pdf`."""
    return {
        "format": options.format,
        "landscape": options.landscape,
        "margin": options.margin.model_dump(),
        "print_background": options.background,
        "scale": options.scale,
        "page_ranges": options.page_ranges,
        "prefer_css_page_size": False,
    }
