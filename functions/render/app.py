"""The entry point for Lambda: takes one render job, returns its report or error (`urlshot.core.render_contract`).

In Lambda the import starts the browser, because the init phase has a full CPU and ten seconds of its own. Elsewhere
the import starts nothing. Lambda, `sam local` and the local stack set AWS_LAMBDA_RUNTIME_API; tests do not.
"""

from __future__ import annotations

import os
from typing import Any

from pydantic import ValidationError

from functions.render.renderer import Renderer
from urlshot.adapters.logs import logger
from urlshot.core.errors import Broken
from urlshot.core.options import invalid
from urlshot.core.render_contract import RenderJob

log = logger()
_renderer: Renderer | None = None


def bootstrap() -> Renderer:
    """Seals the process and launches the browser, once; both serve all later events.

    Raises:
        Broken: A setting is wrong, or the browser does not start.
    """
    global _renderer
    if _renderer is None:
        _renderer = Renderer.of(os.environ, log)
    return _renderer


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Renders one job.

    Raises:
        Broken: The fault is urlshot's own. Lambda reports it as an error of the function.
    """
    renderer = bootstrap()
    try:
        job = RenderJob.model_validate(event)
    except ValidationError as error:
        raise Broken(f"not a render job: {invalid(error).detail}") from error
    log.append_keys(job_id=job.id, generation=job.generation)
    remaining = context.get_remaining_time_in_millis() / 1000 if context is not None else None
    return renderer.render(job, remaining).model_dump(mode="json", exclude_none=True)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    bootstrap()
