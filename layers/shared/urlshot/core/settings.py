"""Reads settings from environment variables into a frozen, typed object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from urlshot.core.egress import Egress, host_list
from urlshot.core.errors import Broken


class Settings(BaseModel):
    """Base of a function's settings; the field `max_age` comes from the variable `MAX_AGE`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Reads the settings.

        Raises:
            Broken: A variable is missing or invalid; the text names it.
        """
        values = {name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ}
        local = next((name for name in values if name.startswith("local_") and values[name]), None)
        if local and not environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:"):
            raise Broken(f"environment variable {local.upper()} works on the local stack only; remove it")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Broken(f"environment variable {str(first['loc'][0]).upper()}: {first['msg']}") from error


def _hosts(text: str) -> str:
    host_list(text)
    return text


def _pairs(text: str) -> str:
    Egress.of(text)
    return text


class EgressSettings(Settings):
    """Settings of a function that checks URLs by the egress rules.

    `ALLOW_HOSTS` and `DENY_HOSTS` are the operator's lists. `LOCAL_ALLOW` opens pairs of host and port, on the local
    stack only.
    """

    allow_hosts: Annotated[str, AfterValidator(_hosts)] = ""
    deny_hosts: Annotated[str, AfterValidator(_hosts)] = ""
    local_allow: Annotated[str, AfterValidator(_pairs)] = ""

    @property
    def egress(self) -> Egress:
        """The egress rules of these settings."""
        return Egress.of(self.local_allow, denied=self.deny_hosts, allowed=self.allow_hosts)


class OutgoingSettings(EgressSettings):
    """Settings of a function that opens connections to pages or callbacks.

    `OWN_HOST` and the host of `PUBLIC_URL` are the service's own. They are refused, so that the service cannot be made
    to call itself endlessly.
    """

    own_host: str = ""
    public_url: str = ""

    @property
    def egress(self) -> Egress:
        """The egress rules of these settings, with the service's own hosts refused."""
        own = [self.own_host, urlsplit(self.public_url).hostname or ""]
        return Egress.of(self.local_allow, own, self.deny_hosts, self.allow_hosts)
