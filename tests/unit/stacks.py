"""Evaluates the templates of the whole stack with given parameters."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.template.addresses import LocalAddresses
from infra.local.template.evaluator import Resource, Template

PROJECT = Path(__file__).resolve().parents[2]
ADDRESSES = LocalAddresses(aws="http://127.0.0.1:1", amqp="amqp://127.0.0.1:2", console="http://127.0.0.1:3")
MODES = [
    {"NetworkMode": mode, "BrokerDeployment": deployment}
    for mode in ("private", "public")
    for deployment in ("SINGLE_INSTANCE", "CLUSTER_MULTI_AZ")
]
PRIVATE, PUBLIC = MODES[0], MODES[2]
EVERYTHING = {
    "MailFrom": "a@example.com",
    "MailTo": "b@example.com",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:on-call",
    "AccessLogBucket": "logs",
    "RenderConcurrency": "10",
    "SettleConcurrency": "3",
}
"""Parameters that create the resources that do not exist by default."""
ATTACHED = {"ApiFunction", "DispatchFunction", "SettleFunction", "TopologyFunction", "WatchFunction"}
"""The functions that talk to the broker."""


class Stack:
    """All resources with these parameters, by logical id; a nested stack's resources have its id as a prefix."""

    def __init__(self, **parameters: str) -> None:
        self.template = Template(PROJECT / "template.yaml", ADDRESSES, parameters)
        self.all = {".".join(resource.path): resource for resource in self.template.everything()}

    def __getitem__(self, name: str) -> Resource:
        return self.all[name]

    def __contains__(self, name: str) -> bool:
        return name in self.all

    def of(self, kind: str) -> dict[str, Resource]:
        return {name: resource for name, resource in self.all.items() if resource.type == kind}

    @property
    def functions(self) -> dict[str, Resource]:
        return self.of("AWS::Serverless::Function")


@cache
def stack(**parameters: str) -> Stack:
    return Stack(**parameters)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def may(made: Stack, room: str) -> set[tuple[str, str]]:
    """Returns the (action, resource) pairs that the role of the function `<room>Function` allows."""
    found = set()
    for policy in made[f"Roles.{room}Role"].require("Policies"):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement and "NotResource" not in statement
            found |= {(action, on) for action in listed(statement["Action"]) for on in listed(statement["Resource"])}
    return found


def short(resource: str) -> str:
    """Returns a resource ARN without the parts that all of them share."""
    resource = resource.replace("arn:aws:s3:::urlshot-storage-bucket", "bucket")
    resource = resource.replace("urlshot-Broker-", "")
    return re.sub(r"^arn:aws:\w+:[\w-]*:\w*:(function:|secret:|event-bus/|broker:)?(urlshot-)?", "", resource)
