"""The entry point for Lambda: takes one render job, returns its report or error (`urlshot.core.render_contract`).

In Lambda the import starts the browser, because the init phase has a full CPU and ten seconds of its own. Elsewhere
the import starts nothing. Lambda, `sam local` and the local stack set AWS_LAMBDA_RUNTIME_API; tests do not.
"""

from __future__ import annotations

import os
from typing import Any

from playwright_aws_lambda import Layer

ON_LAMBDA = "AWS_LAMBDA_RUNTIME_API" in os.environ
if ON_LAMBDA:
    Layer.here().inflate_ahead()  # while the other modules are imported

from pydantic import ValidationError  # noqa: E402

from functions.render.renderer import Renderer  # noqa: E402
from urlshot.adapters.logs import logger  # noqa: E402
from urlshot.core.errors import Broken  # noqa: E402
from urlshot.core.options import invalid  # noqa: E402
from urlshot.core.render_contract import RenderJob  # noqa: E402

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


if ON_LAMBDA:
    bootstrap()
