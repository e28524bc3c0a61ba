"""What of a job the browser's context is made for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from urlshot.jobs import RenderJob


def context_of(job: RenderJob) -> dict[str, Any]:
    """Options of Playwright's `new_context`; empty where the page that was prepared ahead will do."""
    options, found = job.options, dict[str, Any]()
    if not options.javascript:
        found["java_script_enabled"] = False
    if job.private.basic_auth is not None:
        parts = urlsplit(job.url)
        found["http_credentials"] = {
            "username": job.private.basic_auth.username,
            "password": job.private.basic_auth.password.get_secret_value(),
            "origin": f"{parts.scheme}://{parts.netloc}",
            "send": "unauthorized",
        }
    return found
