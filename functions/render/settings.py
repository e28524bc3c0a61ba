"""Settings of `render`, read once."""

from __future__ import annotations

from pydantic import Field

from urlshot.egress import Egress
from urlshot.settings import EgressSettings


class RenderSettings(EgressSettings):
    """`DENY_HOSTS` are the service's own hosts, comma-separated: a page must not call us in a circle."""

    deny_hosts: str = Field(default="")
    aws_lambda_function_memory_size: int = Field(default=0, ge=0)
    """Megabytes, as Lambda tells every function; 0 where nobody does."""

    @property
    def egress(self) -> Egress:
        """The rules for everything that the browser asks for."""
        return Egress(self.local_allow.opened, Egress.of(denied=map(str.strip, self.deny_hosts.split(","))).denied)
