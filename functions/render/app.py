"""Lambda's entry: one render job in, its report or error out (`urlshot.jobs`).

Nothing starts at import, unless the import is Lambda's own: then the browser is started in the init phase, which has a
full CPU and ten seconds, rather than within the first job. That is told by AWS_LAMBDA_RUNTIME_API, which every Lambda
runtime, `sam local` and the local stack set, and a test does not.
"""

from __future__ import annotations

import os
from typing import Any

from pydantic import ValidationError

from urlshot.errors import Broken
from urlshot.jobs import RenderJob
from urlshot.logs import logger
from urlshot.options import invalid

from .renderer import Renderer

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
