"""Looks at a page right after its load event. One call finds everything about a page that is as simple as most are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from functions.render.devtools.page import Page
from functions.render.page.look import Look, read, traces
from functions.render.page.rest import Rest, State
from functions.render.page.rest import read as read_state
from functions.render.page.scripts import gone, script
from playwright_aws_lambda import DevToolsError


@dataclass(frozen=True)
class Glance:
    """The state of a page, and the facts about it if it is simple: no box can cut content off or hide it."""

    state: State
    look: Look | None


async def glance(page: Page, rest: Rest, asked: str, *, rests: bool) -> Glance | None:
    """Looks at a page that has loaded; returns None if that is not enough, or fails.

    Args:
        page: The page.
        rest: Polls the page.
        asked: The job's URL.
        rests: Whether the page must also be at rest and look the same on paper.

    Raises:
        DevToolsError: The page has gone.
    """
    if page.frames.others():
        return None
    try:
        found = await page.evaluate(_script(), [rest.question(), [traces(), [], []], rests])
        return Glance(read_state(found[0]), None if found[1] is None else read(found[1], asked, page.url))
    except (DevToolsError, TypeError, ValueError, KeyError) as error:  # the page has changed its own objects
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return None


@cache
def _script() -> str:
    parts = ", ".join(script(name) for name in ("ask", "plain", "look"))
    return f"given => ({script('glance')})([{parts}], ...given)"
