"""Turns the options and cookies of a job into settings of its page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from functions.render.devtools.page import Settings
from urlshot.core.options import Options
from urlshot.core.render_contract import RenderJob


def settings_of(options: Options) -> Settings:
    """Returns the settings of a page for these options."""
    return Settings(
        scripts=options.javascript,
        user_agent=options.user_agent,
        locale=options.locale,
        timezone=options.timezone,
        width=options.viewport.width,
        height=options.viewport.height,
        device_scale=options.device_scale,
        color_scheme=options.color_scheme,
    )


DEFAULT = settings_of(Options())
"""The settings of the page that is prepared before its job is known."""


def cookies_of(job: RenderJob) -> list[dict[str, Any]]:
    """Returns the cookies of a private job, limited to the URL's host, and to https if the URL is https."""
    parts = urlsplit(job.url)
    return [
        {
            "name": cookie.name,
            "value": cookie.value.get_secret_value(),
            "domain": parts.hostname or "",
            "path": cookie.path,
            "secure": parts.scheme == "https",
        }
        for cookie in job.private.cookies
    ]
