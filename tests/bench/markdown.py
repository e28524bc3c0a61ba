"""Writes parts of the documents: tables, paragraphs and figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from tests.bench.figures import Results, quartiles

WIDTH = 120
"""Characters in a line of the documents."""
UNMEASURED = "Not measured yet."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def blocks(*parts: str) -> str:
    """Returns parts of a document, separated by empty lines."""
    return "\n\n".join(parts)


def prose(text: str) -> str:
    """Returns a paragraph, wrapped at the width of the documents."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Returns the median with the quartiles, if there are several values: `203 (198–210)`."""
    low, middle, high = quartiles(values)
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def dated(results: Results, part: str) -> str:
    date = results["dates"].get(part, "")
    return f"Measured on {date[:10]}." if date else ""
