"""What a user can choose, and the addresses of a running stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What a user can choose.

    parameters     the template's, like `sam deploy --parameter-overrides`
    allow          host:port pairs of this machine that pages may load from, and callbacks go to
    ca             file of authorities that callbacks trust besides the system's
    port           of the API; 0 takes a free one
    stage_in_path  whether the API's paths start with the stage, as at an execute-api address
    concurrency    instances of one function side by side, where the template reserves none
    docker         whether the containers of `sam local` are to reach this stack, at Docker's bridge
    keep_records   whether mails/ and logs/ stay after the end
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    ca: Path | None = None
    port: int = 0
    stage_in_path: bool = False
    concurrency: int = 20
    docker: bool = False
    keep_records: bool = True
    project: Path = PROJECT
    state: Path = PROJECT / ".urlshot"

    @property
    def layers(self) -> Path:
        return self.state / "layers"


@dataclass(frozen=True)
class Access:
    """The addresses of a running stack; the ready file holds them as JSON."""

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
    """Returns the parameters of a run on this machine; each may be overridden.

    Two pages are rendered at a time for each core, because a page waits for its network half of the time; one at the
    least is for jobs that are not bulk. Of the 20 instances of `api`, some are left to requests that do not wait. There
    is no network to lay out here, and metrics are AWS's, so nothing is watched.
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
