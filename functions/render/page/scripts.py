"""Loads the scripts that the renderer runs in pages, `js/<name>.js`, and reads their answers."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from playwright_aws_lambda import Gone, Navigated

_FOLDER = Path(__file__).parent / "js"
_MOST = 1e9
"""Largest amount of a number that a page gives; no true length or count is larger."""


@cache
def script(name: str) -> str:
    """Returns a script's text: a function for `evaluate`, except `watch`, which runs before a page's own scripts."""
    lines = (_FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("//"))


@cache
def in_turn(*names: str) -> str:
    """Joins several scripts into one, so that one call runs them all.

    The joined script takes a list with one argument for each script, and returns the value of the last one.
    """
    calls = ", ".join(f"await ({script(name)})(given[{at}])" for at, name in enumerate(names))
    return f"async given => ({calls})"


def gone(error: Exception) -> bool:
    """Returns whether an error means that the page has gone or navigates, and not that a script failed in it."""
    return isinstance(error, Gone | Navigated)


def number(value: object) -> float:
    """Returns a number that a script gave, limited to ±_MOST: a page can change what the script asks.

    Raises:
        ValueError: The value is not a finite number.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return max(-_MOST, min(float(value), _MOST))
