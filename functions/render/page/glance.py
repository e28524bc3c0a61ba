"""Looks at a page right after its load event, so that one call finds everything about most pages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from functions.render.devtools.page import Page
from functions.render.page.cut import OPEN_PIXELS
from functions.render.page.look import Look, read, traces
from functions.render.page.rest import Rest, State
from functions.render.page.rest import read as read_state
from functions.render.page.scripts import gone, script
from playwright_aws_lambda import DevToolsError


@dataclass(frozen=True)
class Glance:
    """The state of a page, and the facts about it; None if more has to be done for it before.

    Nothing moves on a page that is `simple`, and no box of it can cut content off or hide it.
    """

    state: State
    look: Look | None
    simple: bool


async def glance(page: Page, rest: Rest, asked: str, *, rests: bool) -> Glance | None:
    """Looks at a page that has loaded; returns None if it has frames, or has changed its own objects.

    Args:
        page: The page.
        rest: Polls the page.
        asked: The job's URL.
        rests: Whether to look only at a page that is simple, is at rest, and looks the same on paper.

    Raises:
        DevToolsError: The page has gone.
    """
    if page.frames.others():
        return None
    try:
        state, facts, simple = await page.evaluate(_script(), [rest.question(), [traces(), [], []], rests])
        return Glance(read_state(state), None if facts is None else read(facts, asked, page.url), simple is True)
    except (DevToolsError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return None


@cache
def _script() -> str:
    opens = f"() => ({script('open')})({OPEN_PIXELS})"
    parts = [*(script(name) for name in ("ask", "plain", "look")), opens, script("cut")]
    return f"given => ({script('glance')})([{', '.join(parts)}], ...given)"
