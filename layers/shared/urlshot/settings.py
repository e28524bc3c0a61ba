"""Settings: read once from the environment into a frozen, typed object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from urlshot.egress import Egress
from urlshot.errors import Broken


def _egress(value: Any) -> Any:
    return Egress.of(value) if isinstance(value, str) else value


class Settings(BaseModel):
    """Base of a function's settings; a field `max_age` is read from the variable `MAX_AGE`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Reads the settings.

        Raises:
            Broken: a variable is missing or wrong; the text names it.
        """
        values = {name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ}
        if values.get("local_allow") and not environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:"):
            raise Broken("environment variable LOCAL_ALLOW is for the local stack only; remove it from the function")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Broken(f"environment variable {str(first['loc'][0]).upper()}: {first['msg']}") from error


class EgressSettings(Settings):
    """Settings of a function that judges targets. `LOCAL_ALLOW` opens host:port pairs, on the local stack only."""

    local_allow: Annotated[Egress, BeforeValidator(_egress)] = Field(default=Egress())
