"""A last look at the page before it is printed: whose check it may be, whether it asks for a password, what is missing.

What the page's own scripts may falsify decides nothing but the page's own verdict.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Error, Frame, Page

from .ink import Ink
from .rest import FRAME_SECONDS, FRAMES
from .scripts import ask_page, gone, in_turn
from .witness import bare

# Titles and traces of the well-known checks. A widget inside a real page's form (a captcha beside a comment) is none:
# it counts only where there is little else (`_LITTLE_TEXT`). A title alone is enough where it is this peculiar.
_TITLES = {
    r"^just a moment\.\.\.$|^attention required! \| cloudflare$": "Cloudflare",
    r"^access to this page has been denied": "PerimeterX",
    r"^pardon our interruption": "Imperva",
    r"^(ddos-guard|checking your browser before accessing)": "DDoS-Guard",
}
_TRACES = {
    "#challenge-form, #challenge-running, #cf-challenge-running, #challenge-error-text": "Cloudflare",
    "iframe[src*='challenges.cloudflare.com'], .cf-turnstile": "Cloudflare",
    "iframe[src*='captcha-delivery.com'], script[src*='captcha-delivery.com']": "DataDome",
    "#px-captcha": "PerimeterX",
    "iframe[src*='_Incapsula_Resource'], script[src*='_Incapsula_Resource']": "Imperva",
    "#sec-if-cpt-container, #sec-cpt-if, script[src*='/_sec/cp_challenge/']": "Akamai",
    "iframe[src*='hcaptcha.com'], .h-captcha": "hCaptcha",
    "iframe[src*='/recaptcha/'], .g-recaptcha": "reCAPTCHA",
    "script[src*='awswaf.com'], #captcha-container[data-aws]": "AWS WAF",
}
_LOOK = in_turn("cut", "look")
_ORNAMENT = 20
"""Characters of text under filters that are no loss."""
_LITTLE_TEXT = 1200
"""Characters that a check or a login page may have around it; a page of content has more."""


@dataclass(frozen=True)
class Look:
    """`text` is the number of characters on the page, `filtered` of those under a CSS filter.

    `media` says whether any picture or frame takes up room, `drawing` whether an SVG does. `flat` counts canvases that
    got no WebGL, `plugins` documents that need one, `films` videos with neither poster nor picture, `torn` XML
    documents that the browser shows up to their first error.
    """

    title: str = ""
    text: int = 0
    media: bool = False
    drawing: bool = False
    challenge: str = ""
    login: bool = False
    images_missing: tuple[str, ...] = ()
    broken_images: int = 0
    filtered: int = 0
    flat: int = 0
    plugins: int = 0
    films: int = 0
    torn: int = 0


async def look(
    page: Page, session: CDPSession, asked: str, unwanted: Sequence[str] = (), documents: Sequence[str] = ()
) -> Look:
    """Looks at the page that the URL `asked` led to, and at its frames; a document that cannot be asked has no faults.

    Notes on the way what is hidden on the screen, which `count_cut` leaves out.

    Images at the URLs `unwanted` are not missing: the caller had them blocked. `documents` are URLs that answered a
    frame with something that is no page.

    Raises Playwright's errors of pages that have gone.
    """
    question = [list(_TRACES), list(unwanted), list(documents)]
    others = asyncio.gather(*(_look_at(frame, question) for frame in page.frames[1 : FRAMES + 1]))
    try:
        found = read(await ask_page(page, session, _LOOK, [0, question]), asked, page.url)
    except (Error, TypeError, ValueError, KeyError) as error:
        if isinstance(error, Error) and gone(error):
            raise
        return Look(text=1, media=True)
    finally:
        frames = await others
    return with_frames(found, [frame for frame in frames if frame is not None])


async def _look_at(frame: Frame, question: list[list[str]]) -> Look | None:
    try:
        async with asyncio.timeout(FRAME_SECONDS):
            return read(await frame.evaluate(_LOOK, [0, question]), "", "")
    except (Error, TimeoutError, TypeError, ValueError, KeyError):
        return None


def with_frames(page: Look, frames: Sequence[Look]) -> Look:
    """The page with what is in its frames; title, check and login are the page's own."""
    missing = [url for look in (page, *frames) for url in look.images_missing]
    return replace(
        page,
        text=page.text + sum(frame.text for frame in frames),
        media=page.media or any(frame.media for frame in frames),
        images_missing=tuple(dict.fromkeys(missing))[:20],
        broken_images=page.broken_images + sum(frame.broken_images for frame in frames),
        filtered=page.filtered + sum(frame.filtered for frame in frames),
        flat=page.flat + sum(frame.flat for frame in frames),
        plugins=page.plugins + sum(frame.plugins for frame in frames),
        films=page.films + sum(frame.films for frame in frames),
        torn=page.torn + sum(frame.torn for frame in frames),
    )


def read(facts: dict[str, Any], asked: str, final: str) -> Look:
    """Makes sense of what a document was found to be."""
    title = str(facts["title"])
    little = facts["text"] <= _LITTLE_TEXT
    challenge = next((name for title_like, name in _TITLES.items() if re.search(title_like, title.strip(), re.I)), "")
    if not challenge and little and not facts["password"]:
        challenge = next((_TRACES[trace] for trace in facts["traces"] if trace in _TRACES), "")
    return Look(
        title=title[:500],
        text=int(facts["text"]),
        media=bool(facts["media"]),
        drawing=bool(facts["drawing"]),
        challenge=challenge,
        login=bool(facts["password"]) and little and _elsewhere(asked, final),
        images_missing=tuple(bare(url) for url in facts["missing"])[:20],
        broken_images=int(facts["broken"]),
        filtered=int(facts["filtered"]),
        flat=int(facts["flat"]),
        plugins=int(facts["plugins"]),
        films=int(facts["films"]),
        torn=int(facts["torn"]),
    )


def _elsewhere(asked: str, final: str) -> bool:
    """Whether the URL led to another page, rather than to another spelling of the same."""
    before, after = urlsplit(asked), urlsplit(final)
    return (before.hostname, before.path.rstrip("/")) != (after.hostname, after.path.rstrip("/"))


def as_picture(look: Look, paper: Ink) -> int:
    """Characters that are on the paper as part of a picture only: those under a filter, where they are missed there.

    A few of them are an ornament and count for nothing.
    """
    if look.filtered < _ORNAMENT or (look.filtered < look.text * 0.1 and look.filtered < _ORNAMENT * 5):
        return 0
    return 0 if paper.signs > look.text - look.filtered / 2 else look.filtered
