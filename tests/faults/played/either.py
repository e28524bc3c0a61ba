"""The handler of `render` in the copy: simulates the render of URLs with /simulated, and really renders all others."""

from __future__ import annotations

from typing import Any

from . import simulated


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handles one render job. The browser starts with the first real one, so most instances have none."""
    if "/simulated" in str(event.get("url")):
        return simulated.handler(event, context)
    from . import app

    return app.handler(event, context)
