"""A row of the table: a page, and what its PDF must show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RED, GREEN, BLUE, YELLOW, WHITE = "#ff0000", "#00aa00", "#0000ff", "#ffcc00", "#ffffff"

EDGELESS = {"margin": "0mm"}


@dataclass(frozen=True)
class Ink:
    """A colour, and the share of a region's pixels that must have it. The region is left, top, right and bottom, as
    parts of the page's width and height; shares are coarse, so that fonts and rasterisers may differ."""

    colour: str
    region: tuple[float, float, float, float]
    least: float = 0.9
    most: float = 1.0
    page: int = 1


@dataclass(frozen=True)
class Facts:
    """One row. Texts are compared without white space, and in the order given."""

    page: str
    title: str
    shows: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    every: str = ""
    """Text on every page of the PDF."""
    pages: tuple[int, int] = (1, 1)
    """The least and the most."""
    size: tuple[int, int] = (210, 297)
    """Millimetres of the first page, give or take 2; 0 for a side of any length."""
    fonts: tuple[str, ...] = ()
    """Parts of names of embedded fonts."""
    images: int = 0
    """Pictures in the PDF, at least."""
    links: tuple[str, ...] = ()
    """Ends of addresses that can be clicked; `#` is a place within the document."""
    outline: tuple[str, ...] = ()
    """Bookmarks, in order."""
    ink: tuple[Ink, ...] = ()
    verdict: str = "complete"
    warnings: tuple[str, ...] = ()
    tidied: dict[str, Any] | None = None
    """Of the report's `tidied`: what must be in it."""
    settled: bool = False
    """Whether it takes more than the load event: only a settled page shows it."""
    options: dict[str, Any] = field(default_factory=dict)
