"""Prints a page at its end, again if the print itself made the browser request resources."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from functions.render.budget import Budget
from functions.render.devtools.page import Page
from functions.render.page.cut import is_plain
from functions.render.page.rest import POLL_SECONDS
from functions.render.page.witness import Witness
from functions.render.pdf.paper import print_page
from playwright_aws_lambda import DevToolsError
from urlshot.core.options import Options

RESOURCE_SECONDS = 5.0
"""Longest wait for resources that the browser requests while it prints."""


@dataclass(frozen=True)
class Print:
    """A PDF, and whether it is known that no box of the page can cut off or hide content.

    The page answers `plain` when all events of the print have come; False if it has gone.
    """

    pdf: bytes
    plain: asyncio.Future[bool]


async def print_whole(
    page: Page, witness: Witness, budget: Budget, options: Options, title: str, *, plain: bool
) -> Print:
    """Prints a page, and prints it again if the browser requested resources while it printed.

    The browser lays the page out for the sheet only when it prints, and a style sheet may load images and fonts for the
    sheet's width. Only with `wait_until: "settled"` are these waited for.

    Args:
        page: The page.
        witness: Counts its requests.
        budget: Limits the waits after a print.
        options: The job's options.
        title: The page's title.
        plain: Whether it is known that no box of the page can cut off content, and that its print requests nothing.

    Raises:
        Rejected: `invalid_option`: An option does not fit this page.
        DevToolsError: The browser could not print the page.
    """
    if plain:
        known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        known.set_result(True)
        return Print(await print_page(page, options, title), known)
    begun = witness.begun
    printed = await _print_and_ask(page, options, title)
    if options.wait_until != "settled":
        return printed
    await printed.plain
    if witness.begun == begun:
        return printed
    until = time.monotonic() + min(RESOURCE_SECONDS, budget.for_page() / 2)
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if not witness.busy() or time.monotonic() >= until:
            break
    with contextlib.suppress(DevToolsError):  # the first PDF is good if the page has gone meanwhile
        printed = await _print_and_ask(page, options, title)
    return printed


async def _print_and_ask(page: Page, options: Options, title: str) -> Print:
    """Prints a page, and asks it right after the print whether it is plain."""
    questions: list[asyncio.Task[bool]] = []
    try:
        pdf = await print_page(
            page, options, title, lambda: questions.append(asyncio.create_task(_asked(page, options)))
        )
    except BaseException:
        for question in questions:
            question.cancel()
        raise
    return Print(pdf, questions[0])


async def _asked(page: Page, options: Options) -> bool:
    """Returns whether a page is plain; False if that is unknown, because the page has gone, for example."""
    with contextlib.suppress(DevToolsError):  # the PDF is good if the page has gone meanwhile
        if not options.single_page and not page.frames.others():
            return await is_plain(page)
        await page.catch_up()
    return False
