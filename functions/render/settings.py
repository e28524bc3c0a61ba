"""The settings of `render`."""

from __future__ import annotations

from pydantic import Field

from urlshot.core.settings import OutgoingSettings


class RenderSettings(OutgoingSettings):
    """The rules for outgoing connections, and the size of the function."""

    aws_lambda_function_memory_size: int = Field(default=0, ge=0)
    """Megabytes; Lambda sets it for every function. 0 outside Lambda."""
