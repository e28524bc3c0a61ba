"""Settings of `render`, read once."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field

from urlshot.egress import Egress
from urlshot.settings import EgressSettings


class RenderSettings(EgressSettings):
    """`OWN_HOST` and the host of `PUBLIC_URL` are the service's own: a page must not call us in a circle."""

    own_host: str = ""
    public_url: str = ""
    aws_lambda_function_memory_size: int = Field(default=0, ge=0)
    """Megabytes, as Lambda tells every function; 0 where nobody does."""

    @property
    def egress(self) -> Egress:
        """The rules for everything that the browser asks for."""
        own = [self.own_host, urlsplit(self.public_url).hostname or ""]
        return Egress.of(self.local_allow, own, self.deny_hosts, self.allow_hosts)
