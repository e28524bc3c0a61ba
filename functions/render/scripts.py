"""The scripts that the renderer runs in pages, by name: `page/<name>.js`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "page"


@cache
def script(name: str) -> str:
    """The text of a script: a function for `evaluate`, save `watch`, which documents run before their own scripts."""
    lines = (_FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()
    # Playwright takes a text for a function only where it begins like one.
    return "\n".join(line for line in lines if not line.startswith("//"))
