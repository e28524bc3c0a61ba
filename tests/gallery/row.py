"""A row of the table: a page and the facts that its PDF must show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RED, GREEN, BLUE, YELLOW, WHITE = "#ff0000", "#00aa00", "#0000ff", "#ffcc00", "#ffffff"

EDGELESS = {"margin": "0mm"}


@dataclass(frozen=True)
class Ink:
    """A colour and the share of a region's pixels that must have it.

    `region` is left, top, right and bottom, as parts of the page's width and height. `least` and `most` bound the
    share; they are coarse, so that fonts and rasterisers may differ.
    """

    colour: str
    region: tuple[float, float, float, float]
    least: float = 0.9
    most: float = 1.0
    page: int = 1


@dataclass(frozen=True)
class Facts:
    """One row. Texts are compared without white space, and must appear in this order."""

    page: str
    title: str
    shows: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    every: str = ""
    """Text that every page of the PDF must have."""
    pages: tuple[int, int] = (1, 1)
    """Least and largest number of pages."""
    size: tuple[int, int] = (210, 297)
    """Width and height of the first page in millimetres, with a tolerance of 2; 0 for any length."""
    fonts: tuple[str, ...] = ()
    """Parts of the names of embedded fonts."""
    images: int = 0
    """Least number of images in the PDF."""
    links: tuple[str, ...] = ()
    """Ends of link targets; `#` is a place within the document."""
    outline: tuple[str, ...] = ()
    """Titles of the bookmarks, in order."""
    ink: tuple[Ink, ...] = ()
    verdict: str = "complete"
    warnings: tuple[str, ...] = ()
    tidied: dict[str, Any] | None = None
    """Fields and values that the report's `tidied` must have."""
    settled: bool = False
    """Whether the page shows these facts only after it has settled, and not at the load event."""
    options: dict[str, Any] = field(default_factory=dict)
