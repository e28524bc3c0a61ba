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
        local = next((name for name in values if name.startswith("local_") and values[name]), None)
        if local and not environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:"):
            raise Broken(f"environment variable {local.upper()} is for the local stack only; remove it")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Broken(f"environment variable {str(first['loc'][0]).upper()}: {first['msg']}") from error


class EgressSettings(Settings):
    """Settings of a function that judges targets. `LOCAL_ALLOW` opens host:port pairs, on the local stack only."""

    local_allow: Annotated[Egress, BeforeValidator(_egress)] = Field(default=Egress())


class OutgoingSettings(EgressSettings):
    """Settings of a function that dials. `DENY_HOSTS` are our own hosts, comma-separated: nobody is to call us in a
    circle."""

    deny_hosts: str = Field(default="")

    @property
    def egress(self) -> Egress:
        """The rules for everything that is dialled."""
        return Egress(self.local_allow.opened, Egress.of(denied=map(str.strip, self.deny_hosts.split(","))).denied)
