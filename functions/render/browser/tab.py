"""The page of one job, with everything that does not depend on the job already set up."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.async_api import BrowserContext, CDPSession, Page

DOCUMENTS = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Response"}
"""The pattern of DevTools' Fetch domain that pauses the response of every document."""


@dataclass(frozen=True)
class Tab:
    """A page that shows nothing yet, the id of its main frame, and a DevTools session of it.

    The session sends the events of the domain Page, and pauses the responses of documents (`DOCUMENTS`).
    """

    page: Page
    session: CDPSession
    frame: str


async def open_tab(context: BrowserContext, watch: str) -> Tab:
    """Opens a page in a context.

    Args:
        context: The context; it has no other page.
        watch: A script that runs in every document before the page's own scripts; empty for none.

    Raises:
        Error: The browser could not open the page.
    """
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    await session.send("Fetch.enable", {"patterns": [DOCUMENTS]})
    await session.send("Page.enable")
    if watch:
        await page.add_init_script(watch)
    return Tab(page, session, frame)
