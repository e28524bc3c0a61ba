"""Settings of `render`, read once."""

from __future__ import annotations

from pydantic import Field

from urlshot.core.settings import OutgoingSettings


class RenderSettings(OutgoingSettings):
    """The rules for everything that the browser asks for, and how the function is made."""

    aws_lambda_function_memory_size: int = Field(default=0, ge=0)
    """Megabytes, as Lambda tells every function; 0 where nobody does."""
