"""Inspects the page before it is printed: is it a check for humans or a login page, and what is missing?

The page's scripts can falsify these facts, so they decide nothing but the verdict on this page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from functions.render.devtools.frames import Frame
from functions.render.devtools.page import Page
from functions.render.page.cut import OPEN_PIXELS, open_shell
from functions.render.page.rest import FRAME_SECONDS, FRAMES
from functions.render.page.scripts import gone, in_turn, number, script
from functions.render.page.witness import bare
from playwright_aws_lambda import DevToolsError

# Titles and traces of the well-known checks for humans. A title alone is enough. A trace counts only if the page has
# little text (`_LITTLE_TEXT`), because a real page may have a captcha in a form.
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
_OPEN_AND_LOOK = f"""given => {{
  try {{ ({script("open")})({OPEN_PIXELS}); }} catch {{ /* the page stays as it is */ }}
  return ({_LOOK})(given);
}}"""
_LITTLE_TEXT = 1200
"""Most characters of a check or a login page; a page of content has more."""


@dataclass(frozen=True)
class Look:
    """The facts about a page before it is printed.

    `text` is the number of characters on the page, and `filtered` the number of those under a CSS filter. `media` says
    whether an image or a frame is visible, and `drawing` whether an SVG is. `no_webgl` counts canvases without WebGL,
    `plugins` documents that need a plugin, `videos` videos without a poster or a picture, and `torn` XML documents that
    the browser shows up to their first error. `challenge` names the vendor of a check for humans.
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
    no_webgl: int = 0
    plugins: int = 0
    videos: int = 0
    torn: int = 0


async def look(
    page: Page,
    asked: str,
    unwanted: Sequence[str] = (),
    documents: Sequence[str] = (),
    *,
    opens: bool = False,
) -> Look:
    """Inspects a page and its frames; a document that cannot run the script counts as faultless.

    The script also notes what is hidden on the screen, which `count_lost` then leaves out.

    Args:
        page: The page.
        asked: The job's URL.
        unwanted: URLs that the caller had blocked; images at these URLs are not missing.
        documents: URLs that answered a frame with something that is not a page.
        opens: Whether to open an application shell first, as `open_shell` does.

    Raises:
        DevToolsError: The page has gone.
    """
    if opens and page.frames.others():  # it may change the sizes of frames
        await open_shell(page)
        opens = False
    question = [traces(), list(unwanted), list(documents), False]
    others = asyncio.gather(*(_look_at(frame, question) for frame in page.frames.others()[:FRAMES]))
    try:
        text = _OPEN_AND_LOOK if opens else _LOOK
        found = read(await page.evaluate(text, [0, question]), asked, page.url)
    except (DevToolsError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, DevToolsError) and gone(error):
            raise
        return Look(text=1, media=True)
    finally:
        frames = await others
    return with_frames(found, [frame for frame in frames if frame is not None])


async def _look_at(frame: Frame, question: list[Any]) -> Look | None:
    try:
        async with asyncio.timeout(FRAME_SECONDS):
            return read(await frame.evaluate(_LOOK, [0, question]), "", "")
    except (DevToolsError, TimeoutError, TypeError, ValueError, KeyError):
        return None


def with_frames(page: Look, frames: Sequence[Look]) -> Look:
    """Adds the facts of the frames to those of the page; title, check and login stay the page's own."""
    missing = [url for look in (page, *frames) for url in look.images_missing]
    return replace(
        page,
        text=page.text + sum(frame.text for frame in frames),
        media=page.media or any(frame.media for frame in frames),
        images_missing=tuple(dict.fromkeys(missing))[:20],
        broken_images=page.broken_images + sum(frame.broken_images for frame in frames),
        filtered=page.filtered + sum(frame.filtered for frame in frames),
        no_webgl=page.no_webgl + sum(frame.no_webgl for frame in frames),
        plugins=page.plugins + sum(frame.plugins for frame in frames),
        videos=page.videos + sum(frame.videos for frame in frames),
        torn=page.torn + sum(frame.torn for frame in frames),
    )


def traces() -> list[str]:
    """Returns the selectors of the checks for humans, for look.js."""
    return list(_TRACES)


def read(facts: dict[str, Any], asked: str, final: str) -> Look:
    """Turns the answer of look.js into a `Look`.

    Args:
        facts: The answer.
        asked: The job's URL; empty for a frame.
        final: The URL of the page that was printed; empty for a frame.
    """
    title = str(facts["title"])
    little = number(facts["text"]) <= _LITTLE_TEXT
    challenge = next((name for title_like, name in _TITLES.items() if re.search(title_like, title.strip(), re.I)), "")
    if not challenge and little and not facts["password"]:
        challenge = next((_TRACES[trace] for trace in facts["traces"] if trace in _TRACES), "")
    return Look(
        title=title[:500],
        text=int(number(facts["text"])),
        media=bool(facts["media"]),
        drawing=bool(facts["drawing"]),
        challenge=challenge,
        login=bool(facts["password"]) and little and _elsewhere(asked, final),
        images_missing=tuple(bare(str(url)) for url in list(facts["missing"])[:20]),
        broken_images=int(number(facts["broken"])),
        filtered=int(number(facts["filtered"])),
        no_webgl=int(number(facts["no_webgl"])),
        plugins=int(number(facts["plugins"])),
        videos=int(number(facts["videos"])),
        torn=int(number(facts["torn"])),
    )


def _elsewhere(asked: str, final: str) -> bool:
    """Returns whether the URL led to another host or path."""
    before, after = urlsplit(asked), urlsplit(final)
    return (before.hostname, before.path.rstrip("/")) != (after.hostname, after.path.rstrip("/"))
