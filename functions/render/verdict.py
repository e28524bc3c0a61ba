"""Judges a PDF: the verdict is a pure function of the facts in `Seen`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from urlshot.core.render_contract import Verdict, Warned

TEXTS = {
    "not_settled": "The page did not come to rest in time ({}); it was printed as it stood.",
    "scroll_limit": "The page grows as it is scrolled; only its first {} pixels were loaded.",
    "several_pages": "The content is longer than one page can be; it has {} pages.",
    "resources_failed": "{} of the page's resources could not be loaded.",
    "resources_blocked": "{} of the page's resources were refused, because they are not on the public internet.",
    "images_missing": "{} of the page's images did not load.",
    "glyphs_missing": "Characters of these writing systems have no glyph in any font: {}.",
    "console_errors": "The page's scripts reported errors: {}.",
    "page_status": "The page answered with status {}.",
    "near_blank": "There is next to nothing on the paper.",
    "document_cut": "The document, a frame or a style sheet broke off before its end: {}.",
    "content_cut": "Content does not fit the paper or its box, and is cut off: {}.",
    "content_covered": "Boxes that stay in place as the page scrolls hide text on the paper: {}.",
    "text_as_picture": "Text under a CSS filter is printed as a picture, which has no text: {} characters.",
    "webgl_missing": "Drawings that need WebGL are missing: {}.",
    "plugins_missing": "Embedded documents are printed as empty boxes: {}.",
    "media_missing": "Videos without a poster are printed as empty boxes: {}.",
    "challenge_page": "This looks like a check for humans ({}), not like the page itself.",
    "login_page": "This looks like a login page, not like the page itself.",
}
"""The sentence of each warning, by its stable code."""

_SUSPECT = {"near_blank", "challenge_page", "login_page"}
_HARMLESS = {"console_errors"}
"""Warnings that do not mean that the paper lacks something."""


@dataclass(frozen=True)
class Seen:
    """The facts for a verdict; `unsettled` names the waits that timed out, `challenge` the vendor of a check."""

    status: int = 200
    unsettled: tuple[str, ...] = ()
    scroll_limit: int = 0
    split: int = 0
    """Number of pages if one page was asked for and there are several; else 0."""
    failed: int = 0
    blocked: int = 0
    images_missing: int = 0
    glyphs_missing: Mapping[str, int] = field(default_factory=dict)
    console: int = 0
    cut_documents: int = 0
    """Documents, frames and style sheets that broke off."""
    cut: int = 0
    """Pieces of content that are cut off on the paper."""
    covered: int = 0
    """Fixed boxes that hide text on the paper."""
    as_picture: int = 0
    """Characters of text that are printed as a picture."""
    no_webgl: int = 0
    plugins: int = 0
    videos: int = 0
    """Numbers of canvases without WebGL, of embedded documents and of videos that the paper lacks."""
    near_blank: bool = False
    challenge: str = ""
    login: bool = False


def judge(seen: Seen) -> tuple[Verdict, tuple[Warned, ...]]:
    """Returns the verdict and its warnings, the gravest first."""
    found: list[tuple[str, object]] = []
    if seen.challenge:
        found.append(("challenge_page", seen.challenge))
    if seen.login:
        found.append(("login_page", ""))
    if seen.near_blank:
        found.append(("near_blank", ""))
    if seen.status >= 400:
        found.append(("page_status", seen.status))
    if seen.unsettled:
        found.append(("not_settled", ", ".join(seen.unsettled)))
    if seen.scroll_limit:
        found.append(("scroll_limit", f"{seen.scroll_limit:,}"))
    if seen.split:
        found.append(("several_pages", seen.split))
    counts = {
        "document_cut": seen.cut_documents,
        "content_cut": seen.cut,
        "content_covered": seen.covered,
        "text_as_picture": seen.as_picture,
        "webgl_missing": seen.no_webgl,
        "plugins_missing": seen.plugins,
        "media_missing": seen.videos,
        "resources_failed": seen.failed,
        "resources_blocked": seen.blocked,
        "images_missing": seen.images_missing,
        "console_errors": seen.console,
    }
    found += [(code, count) for code, count in counts.items() if count]
    if seen.glyphs_missing:
        found.append(("glyphs_missing", ", ".join(sorted(seen.glyphs_missing)[:20])))
    codes = {code for code, _ in found}
    verdict: Verdict = "suspect" if codes & _SUSPECT else "degraded" if codes - _HARMLESS else "complete"
    return verdict, tuple(Warned(code=code, text=TEXTS[code].format(value)[:300]) for code, value in found)
