"""A last look at the page before it is printed: whose check it may be, whether it asks for a password, what is missing.

What the page's own scripts may falsify decides nothing but the page's own verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Error, Page

from .settle import gone
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
_LITTLE_TEXT = 1200
"""Characters that a check or a login page may have around it; a page of content has more."""

_LOOK = """([traces, unwanted]) => {
  const body = document.body;
  const seen = element => {
    const box = element.getBoundingClientRect();
    return box.width > 4 && box.height > 4 && getComputedStyle(element).visibility !== 'hidden';
  };
  const missing = [], blocked = new Set(unwanted);
  let broken = 0;
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth || !(image.currentSrc || image.getAttribute('src'))) continue;
    if (/\\.svgz?$/i.test(new URL(image.currentSrc || image.src, location).pathname)) continue;
    if (blocked.has(image.currentSrc || image.src)) continue;
    broken++;
    if (missing.length < 20) missing.push((image.currentSrc || image.src).slice(0, 2048));
  }
  const media = body ? [...body.querySelectorAll('img,svg,canvas,video,iframe,object,embed')] : [];
  return {
    text: body ? (body.innerText || body.textContent || '').trim().length : 0,
    media: media.slice(0, 200).some(seen),
    title: document.title.slice(0, 500),
    traces: traces.filter(selector => document.querySelector(selector)),
    password: [...document.querySelectorAll('input[type=password]')].slice(0, 20).some(seen),
    missing, broken,
  };
}"""


@dataclass(frozen=True)
class Look:
    """`text` is the number of characters on the page, `media` whether any picture or frame takes up room."""

    title: str
    text: int
    media: bool
    challenge: str
    login: bool
    images_missing: tuple[str, ...]
    broken_images: int


async def look(page: Page, asked: str, unwanted: Sequence[str] = ()) -> Look:
    """Looks at the page that the URL `asked` led to; one that has made itself impossible to ask has no faults.

    Images at the URLs `unwanted` are not missing: the caller had them blocked.

    Raises Playwright's errors of pages that have gone.
    """
    try:
        return read(await page.evaluate(_LOOK, [list(_TRACES), list(unwanted)]), asked, page.url)
    except (Error, TypeError, ValueError, KeyError) as error:
        if isinstance(error, Error) and gone(error):
            raise
        return Look("", 1, media=True, challenge="", login=False, images_missing=(), broken_images=0)


def read(facts: dict[str, Any], asked: str, final: str) -> Look:
    """Makes sense of what the page was found to be."""
    title = str(facts["title"])
    little = facts["text"] <= _LITTLE_TEXT
    challenge = next((name for title_like, name in _TITLES.items() if re.search(title_like, title.strip(), re.I)), "")
    if not challenge and little and not facts["password"]:
        challenge = next((_TRACES[trace] for trace in facts["traces"] if trace in _TRACES), "")
    return Look(
        title=title[:500],
        text=int(facts["text"]),
        media=bool(facts["media"]),
        challenge=challenge,
        login=bool(facts["password"]) and little and _elsewhere(asked, final),
        images_missing=tuple(bare(url) for url in facts["missing"])[:20],
        broken_images=int(facts["broken"]),
    )


def _elsewhere(asked: str, final: str) -> bool:
    """Whether the URL led to another page, rather than to another spelling of the same."""
    before, after = urlsplit(asked), urlsplit(final)
    return (before.hostname, before.path.rstrip("/")) != (after.hostname, after.path.rstrip("/"))
