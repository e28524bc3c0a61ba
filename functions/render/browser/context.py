"""Turns the options and cookies of a job into settings of the browser context."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from urlshot.core.options import Options
from urlshot.core.render_contract import RenderJob

_DEFAULT = Options()


def context_of(job: RenderJob) -> dict[str, Any]:
    """Returns options for Playwright's `new_context`; empty if the prepared page fits the job."""
    options, found = job.options, dict[str, Any]()
    if not options.javascript:
        found["java_script_enabled"] = False
    if options.user_agent:
        found["user_agent"] = options.user_agent
    if options.locale != _DEFAULT.locale:
        found["locale"] = options.locale
    if options.timezone != _DEFAULT.timezone:
        found["timezone_id"] = options.timezone
    if (options.viewport, options.device_scale) != (_DEFAULT.viewport, _DEFAULT.device_scale):
        found["viewport"] = options.viewport.model_dump()
        found["device_scale_factor"] = options.device_scale
    if options.color_scheme != _DEFAULT.color_scheme:
        found["color_scheme"] = options.color_scheme
    return found


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
