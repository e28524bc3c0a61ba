"""The scripts that the renderer runs in pages, by name: `js/<name>.js`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Error, Page

_FOLDER = Path(__file__).parent / "js"


@cache
def script(name: str) -> str:
    """The text of a script: a function for `evaluate`, save `watch`, which documents run before their own scripts."""
    lines = (_FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()
    # Playwright takes a text for a function only where it begins like one.
    return "\n".join(line for line in lines if not line.startswith("//"))


@cache
def in_turn(*names: str) -> str:
    """One script out of several, so that a page is asked once: each gets its part of a list of arguments.

    What the last one returns is returned.
    """
    calls = ", ".join(f"await ({script(name)})(given[{at}])" for at, name in enumerate(names))
    return f"async given => ({calls})"


def gone(error: Error) -> bool:
    """Whether the page has gone or is going, rather than a question to it failed on what it did to its own objects."""
    return any(word in error.message for word in ("navigat", "context was destroyed", "closed", "crashed", "detached"))


async def ask_page(page: Page, session: CDPSession, text: str, argument: Any) -> Any:
    """What a script of this text answers in the page's own document.

    Playwright's way of asking needs a few of the page's objects. Where the page has changed those, it is asked in
    DevTools' plain way.

    Raises:
        Error: the page has gone, or not even that works.
    """
    try:
        return await page.evaluate(text, argument)
    except Error as error:
        if gone(error):
            raise
        call = f"({text})({json.dumps(argument)})"
        found = await session.send(
            "Runtime.evaluate", {"expression": call, "returnByValue": True, "awaitPromise": True}
        )
        if "exceptionDetails" in found:
            raise
        return found["result"].get("value")
