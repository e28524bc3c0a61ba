"""Loads the scripts that the renderer runs in pages, `js/<name>.js`, and runs them."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Error, Page

_FOLDER = Path(__file__).parent / "js"
_MOST = 1e9
"""Largest amount of a number that a page gives; no true length or count is larger."""


@cache
def script(name: str) -> str:
    """Returns a script's text: a function for `evaluate`, except `watch`, which runs before a page's own scripts."""
    lines = (_FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()
    # Playwright treats a text as a function only if it begins like one.
    return "\n".join(line for line in lines if not line.startswith("//"))


@cache
def in_turn(*names: str) -> str:
    """Joins several scripts into one, so that one call runs them all.

    The joined script takes a list with one argument for each script, and returns the value of the last one.
    """
    calls = ", ".join(f"await ({script(name)})(given[{at}])" for at, name in enumerate(names))
    return f"async given => ({calls})"


def gone(error: Error) -> bool:
    """Returns whether an error means that the page has gone or navigates, and not that a script failed in it."""
    return any(word in error.message for word in ("navigat", "context was destroyed", "closed", "crashed", "detached"))


def number(value: object) -> float:
    """Returns a number that a script gave, limited to ±_MOST: a page can change what the script asks.

    Raises:
        ValueError: The value is not a finite number.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return max(-_MOST, min(float(value), _MOST))


async def ask_page(page: Page, session: CDPSession, text: str, argument: Any) -> Any:
    """Runs a script in the page's main document and returns its value.

    Playwright's `evaluate` needs some of the page's objects. If the page has changed these, the script runs by
    `Runtime.evaluate` of DevTools instead.

    Args:
        page: The page.
        session: A DevTools session of the page.
        text: A JavaScript function.
        argument: The function's argument, which JSON can represent.

    Raises:
        Error: The page has gone, or the script failed both ways.
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
