"""Defines the settings of the local stack, and the addresses of a running stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Via:
    """Names a proxy that functions use in place of a server. Tests inject faults there.

    Attributes:
        server: The port of the server on 127.0.0.1; 0 selects a free one.
        proxy: The port of the proxy on 127.0.0.1; 0 for no proxy.
    """

    server: int = 0
    proxy: int = 0

    @classmethod
    def from_environment(cls, name: str) -> "Via":
        """Reads `server:proxy`, such as 20001:20002, from a variable; without it there is no proxy."""
        server, _, proxy = os.environ.get(name, "0:0").partition(":")
        return cls(int(server), int(proxy))

    def for_functions(self, url: str) -> str:
        """Returns the URL of the proxy, or the server's `url` if there is no proxy."""
        return f"http://127.0.0.1:{self.proxy}" if self.proxy else url


@dataclass(frozen=True)
class Settings:
    """Holds the choices of a user.

    Attributes:
        parameters: Parameters of the template, as for `sam deploy --parameter-overrides`.
        allow: Private addresses, as host:port, that pages may load and callbacks may use.
        ca: A file of certificate authorities that callbacks trust in addition to the system's.
        port: The port of the API; 0 selects a free one.
        stage_in_path: Whether the API's paths start with the stage, as at an execute-api address.
        concurrency: The maximum number of instances of a function without reserved concurrency.
        docker: Whether containers of `sam local` can reach this stack over Docker's bridge.
        keep_records: Whether mails/ and logs/ remain after the end.
        aws_via: A proxy between the functions and the AWS stand-in.
        invoke_via: A proxy between the functions and the Invoke API.
        project: The folder of the repository.
        state: The folder for built layers and runs.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    ca: Path | None = None
    port: int = 0
    stage_in_path: bool = False
    concurrency: int = 20
    docker: bool = False
    keep_records: bool = True
    aws_via: Via = Via()
    invoke_via: Via = Via()
    project: Path = PROJECT
    state: Path = PROJECT / ".urlshot"

    @property
    def layers(self) -> Path:
        return self.state / "layers"


@dataclass(frozen=True)
class Access:
    """Holds the addresses of a running stack. The ready file contains them as JSON."""

    endpoint: str
    api_key: str
    amqp_url: str
    amqp_endpoint: str
    management_url: str
    aws_endpoint: str
    invoke_endpoint: str
    env_vars: str
    bucket: str
    bus: str
    queues: list[str]
    mails: str
    logs: str
    pid: int


def default_parameters(given: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Returns the default parameters of a run on this machine.

    Each core renders two pages at a time, because a page waits for its network half of the time. There are at least two
    slots, because one is reserved for jobs that are not bulk. `MaxWaiting` leaves some of the 20 instances of `api` to
    requests that do not wait. The watch function is off, because there is no CloudWatch for its metrics.

    Args:
        given: The parameters that the user has set. `RenderConcurrency` follows a given `Renders`.
    """
    renders = str(given.get("Renders", max(2, 2 * (os.cpu_count() or 1))))
    return {
        "Stage": "local",
        "MailFrom": "urlshot@example.com",
        "MailTo": "you@example.com",
        "RequireApiKey": "false",
        "MaxWaiting": "16",
        "NotifyAllow": "@example.com",
        "Renders": renders,
        "RenderConcurrency": renders,
        "NetworkMode": "public",
        "QueueWatch": "disabled",
    }
