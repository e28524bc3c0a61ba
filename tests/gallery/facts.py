"""The table: what the PDF of each page in `pages/` must show. A new page is a file there and a row here."""

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
    """Millimetres of the first page, give or take 2."""
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


GALLERY = [
    Facts("long-table", "Long table", ("row-1", "row-100", "row-200", "40000"), every="HEADLINE", pages=(6, 10)),
    Facts(
        "grid",
        "Grid",
        ("first", "second", "third", "fourth"),
        ink=(
            Ink(RED, (0.05, 0.05, 0.45, 0.18)),
            Ink(GREEN, (0.55, 0.05, 0.95, 0.18)),
            Ink(BLUE, (0.05, 0.24, 0.45, 0.38)),
            Ink(YELLOW, (0.55, 0.24, 0.95, 0.38)),
        ),
        options=EDGELESS,
    ),
    Facts(
        "flex",
        "Flex",
        ink=(
            Ink(BLUE, (0.02, 0.05, 0.31, 0.15)),
            Ink(GREEN, (0.36, 0.05, 0.64, 0.15)),
            Ink(RED, (0.69, 0.05, 0.98, 0.15)),
        ),
        options=EDGELESS,
    ),
    # Without the option Chromium takes the page's orientation, and not its size.
    Facts("page-size", "Page size", ("postcard",), size=(297, 210)),
    Facts("page-size", "Page size", ("postcard",), size=(148, 105), options={"css_page_size": True}),
    Facts("page-landscape", "Page landscape", ("Lying",), size=(297, 210), options={"landscape": True}),
    Facts(
        "page-breaks",
        "Page breaks",
        ("chapter one", "chapter two", "chapter three", "whole-begin", "whole-end"),
        pages=(4, 4),
    ),
    Facts("page-breaks", "Page breaks", every="/4", pages=(4, 4), options={"page_numbers": True}),
    Facts("columns", "Multi-column", ("last-word",), ink=(Ink(BLUE, (0.3, 0.1, 0.4, 0.15), 0.02, 0.1),)),
    Facts(
        "web-font",
        "Web font",
        ("SQUARES", "plain"),
        fonts=("UrlshotSquares",),
        ink=(Ink(RED, (0.0, 0.02, 0.95, 0.1), 0.5),),
        options=EDGELESS,
    ),
    Facts(
        "slow-font",
        "Slow font",
        ("SQUARES",),
        fonts=("UrlshotSquares",),
        ink=(Ink(RED, (0.0, 0.02, 0.95, 0.1), 0.5),),
        options=EDGELESS,
    ),
    Facts(
        "svg",
        "SVG",
        ("inside the drawing",),
        ink=(Ink(RED, (0.4, 0.1, 0.6, 0.25)), Ink(GREEN, (0.02, 0.38, 0.3, 0.42))),
        options=EDGELESS,
    ),
    Facts(
        "canvas-chart",
        "Canvas chart",
        images=1,
        ink=(Ink(RED, (0.05, 0.27, 0.3, 0.35)), Ink(BLUE, (0.7, 0.02, 0.95, 0.35)), Ink(WHITE, (0.05, 0.0, 0.3, 0.2))),
        options=EDGELESS,
    ),
    Facts(
        "lazy-images",
        "Lazy images",
        ("above", "below"),
        pages=(2, 4),
        images=1,
    ),
    Facts("seen-later", "Seen later", ("above", "came when seen"), ("not yet",), pages=(3, 4), settled=True),
    Facts(
        "backgrounds",
        "Backgrounds",
        ("words on it",),
        images=1,
        ink=(
            Ink(RED, (0.1, 0.02, 0.9, 0.18)),
            Ink(BLUE, (0.02, 0.24, 0.45, 0.38)),
            Ink(GREEN, (0.55, 0.24, 0.98, 0.38)),
        ),
        options=EDGELESS,
    ),
    Facts(
        "backgrounds",
        "Backgrounds",
        ("words on it",),
        ink=(Ink(WHITE, (0.0, 0.0, 1.0, 1.0)),),
        options={"background": False},
    ),
    Facts("sticky-header", "Sticky header", ("first", "second", "third"), pages=(3, 3)),
    Facts(
        "sticky-header",
        "Sticky header",
        ("first", "second", "third"),
        size=(210, 744),
        options={"single_page": True},
    ),
    Facts("fixed-footer", "Fixed footer", ("first", "second"), every="ON EVERY PAGE", pages=(2, 2)),
    Facts("dark-mode", "Dark mode", ("words",), ink=(Ink(GREEN, (0.1, 0.1, 0.9, 0.8)),), options=EDGELESS),
    Facts(
        "dark-mode",
        "Dark mode",
        ("words",),
        ink=(Ink(BLUE, (0.1, 0.1, 0.9, 0.8)),),
        options={"color_scheme": "dark", **EDGELESS},
    ),
    Facts("right-to-left", "من اليمين", ("2026",), ink=(Ink(WHITE, (0.05, 0.05, 0.4, 0.2), 1.0),)),
    Facts(
        "scripts",
        "Scripts — 文字",
        ("Ελληνικά", "Кириллица", "日本語の文章", "中文网站", "한국어 문서", "भारत", "ภาษาไทย"),
    ),
    Facts("emoji", "Emoji 😀", ("😀", "🎉", "🚗"), ink=(Ink(WHITE, (0.0, 0.0, 1.0, 0.2), 0.1, 0.8),), options=EDGELESS),
    Facts("mathml", "MathML", ("+7", "42", "a formula")),
    Facts("form", "Form", ("typed text by script", "chosen", "several words", "Send it"), ("not chosen",)),
    Facts("iframe", "A frame", ("outside", "from within the frame")),
    Facts("srcdoc", "Srcdoc", ("outside", "given on the spot")),
    Facts("shadow-dom", "Shadow DOM", ("in the shadow", "slotted text", "in the light")),
    Facts("web-component", "Web component", ("rendered late: alpha, beta, gamma",), settled=True),
    Facts("single-page-app", "Three items", ("alpha", "beta", "gamma"), ("Loading",), settled=True),
    # What a page without its scripts looks like; the report cannot know that something is missing.
    Facts("single-page-app", "Single page app", ("Loading…",), ("alpha",), options={"javascript": False}),
    Facts("print-styles", "Print styles", ("only on paper",), ("navigation", "only on screen")),
    Facts(
        "print-styles",
        "Print styles",
        ("navigation", "only on screen"),
        ("only on paper",),
        options={"media": "screen"},
    ),
    Facts("wide-table", "Wide table", ("column-1", "column-4"), verdict="degraded", warnings=("content_cut",)),
    Facts("wide-table", "Wide table", ("column-1", "column-4", "column-30"), options={"fit": "width"}),
    Facts("huge-image", "Huge image", images=1, ink=(Ink(GREEN, (0.02, 0.02, 0.98, 0.45)),), options=EDGELESS),
    Facts("code", "Code", ("def main():", 'return {"key": [1, 2, 3]}', 'print("tabbed")'), fonts=("DejaVuSansMono",)),
    Facts("long-words", "Long words", ("END",), ink=(Ink(WHITE, (0.96, 0.0, 1.0, 1.0), 1.0),)),
    Facts(
        "links",
        "Links",
        ("outside", "inside", "relative", "far away"),
        pages=(2, 2),
        links=("https://example.com/outside?q=1", "/grid.html", "#"),
    ),
    Facts("headings", "Headings", ("One", "One point one point one", "Two")),
    Facts(
        "headings",
        "Headings",
        ("One", "Two"),
        outline=("One", "One point one", "One point one point one", "One point two", "Two"),
        options={"tagged": True, "outline": True},
    ),
    Facts("details", "Details", ("closed summary", "open summary", "open content"), ("closed content",)),
    Facts("video-poster", "Video poster", ("a film",), ink=(Ink(RED, (0.05, 0.02, 0.6, 0.08), 0.6),), options=EDGELESS),
    Facts(
        "cookie-banner",
        "Cookie banner",
        ("The article", "nobody asked", "We value your privacy"),
    ),
    Facts(
        "cookie-banner",
        "Cookie banner",
        ("The article", "answered no"),
        ("We value your privacy",),
        tidied={"consent": "rejected", "banner": "Onetrust"},
        options={"consent": "reject"},
    ),
    Facts(
        "advertisement",
        "Advertisement",
        ("before", "after"),
        ("BUY",),
        tidied={"blocked": {"ads": 2}},
        options={"block": ["ads"]},
    ),
    Facts(
        "backgrounds",
        "Backgrounds",
        ("words on it",),
        ink=(Ink(WHITE, (0.1, 0.02, 0.9, 0.18)),),
        tidied={"blocked": {"images": 1}},
        options={"block": ["images"], **EDGELESS},
    ),
    Facts("many-images", "Many images", images=1, ink=(Ink(RED, (0.0, 0.0, 1.0, 0.1), 0.6),), options=EDGELESS),
    Facts("one-image", "One image", images=1),
    Facts("empty", "Empty", ink=(Ink(WHITE, (0.0, 0.0, 1.0, 1.0), 1.0),), verdict="suspect", warnings=("near_blank",)),
    Facts(
        "faded-in",
        "Faded in",
        ("appears slowly",),
        ink=(Ink(RED, (0.05, 0.05, 0.95, 0.3)),),
        options=EDGELESS,
        settled=True,
    ),
    Facts(
        "srcset",
        "Srcset",
        images=2,
        ink=(Ink(BLUE, (0.02, 0.02, 0.6, 0.12)), Ink(RED, (0.02, 0.2, 0.6, 0.3))),
        options=EDGELESS,
    ),
    # A picture for print alone may come too late: Chromium asks for it while it prints; then the screen's stays.
    Facts(
        "print-picture",
        "Print picture",
        images=1,
        ink=(Ink(WHITE, (0.02, 0.02, 0.6, 0.12), 0.0, 0.1),),
        options=EDGELESS,
    ),
    Facts("vertical", "Vertical", ("縦書きの文章", "across")),
    Facts("generated", "Generated content", ("No I: apple", "No II: pear", "«said»")),
    Facts(
        "floats", "Floats", ("around around",), images=1, ink=(Ink(RED, (0.01, 0.01, 0.22, 0.17)),), options=EDGELESS
    ),
    Facts(
        "transforms",
        "Transforms",
        ("turned",),
        ink=(
            Ink(RED, (0.42, 0.14, 0.437, 0.28), 0.6),
            Ink(BLUE, (0.45, 0.5, 0.55, 0.54), 0.8),
            Ink(WHITE, (0.3, 0.43, 0.33, 0.45)),
        ),
        options=EDGELESS,
    ),
    Facts("old", "Café", ("Déjà vu", "centred"), ink=(Ink(RED, (0.0, 0.0, 0.5, 0.1), 0.01),)),
    Facts(
        "dressed",
        "Dressed",
        ("HEADING",),
        ("menu", "help"),
        options={"css": "h1 { text-transform: uppercase }", "hide": ["nav", "#chat"]},
    ),
]
