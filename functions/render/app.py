"""Lambda's entry: one render job in, its report or error out (`urlshot.core.render_contract`).

Nothing starts at import, unless the import is Lambda's own: then the browser is started in the init phase, which has a
full CPU and ten seconds, rather than within the first job. That is told by AWS_LAMBDA_RUNTIME_API, which every Lambda
runtime, `sam local` and the local stack set, and a test does not.
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
    """Starts what is kept between events, once: the process is sealed, the browser launched.

    Raises:
        Broken: a setting is wrong, or the browser does not start.
    """
    global _renderer
    if _renderer is None:
        _renderer = Renderer.of(os.environ, log)
    return _renderer


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Renders one job.

    Raises:
        Broken: ours: Lambda reports it as an error of the function.
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
