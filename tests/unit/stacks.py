"""Evaluates the templates of the whole stack with given parameters."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.template.addresses import LocalAddresses
from infra.local.template.evaluator import FUNCTION_TYPE, Resource, Template
from infra.local.template.everything import everything_on

PROJECT = Path(__file__).resolve().parents[2]
ADDRESSES = LocalAddresses(aws="http://127.0.0.1:1", amqp="amqp://127.0.0.1:2", console="http://127.0.0.1:3")
MODES = [
    {"NetworkMode": mode, "BrokerDeployment": deployment}
    for mode in ("private", "public")
    for deployment in ("SINGLE_INSTANCE", "CLUSTER_MULTI_AZ")
]
PRIVATE, PUBLIC = MODES[0], MODES[2]
EVERYTHING = everything_on(PROJECT / "template.yaml")
"""Parameters that make what is not made by default."""


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
        """By logical id alone, whatever stack they are in."""
        return {resource.logical_id: resource for resource in self.of(FUNCTION_TYPE).values()}

    @property
    def attached(self) -> set[str]:
        """The functions that talk to the broker."""
        return {name for name, one in self.functions.items() if any("BROKER_" in key for key in variables(one))}

    def fed_by(self, event: str) -> set[str]:
        """The functions that have an event of a type, e.g. "EventBridgeRule"."""
        events = {name: one.property("Events", {}).values() for name, one in self.functions.items()}
        return {name for name, found in events.items() if event in {one["Type"] for one in found}}

    @property
    def consumers(self) -> set[str]:
        """The functions that get the events of the bus, from a rule or from a queue."""
        return self.fed_by("EventBridgeRule") | self.fed_by("SQS")

    @property
    def beside(self) -> set[str]:
        """The functions that see no job: a schedule or CloudFormation runs them."""
        custom = [one.require("ServiceToken") for one in self.all.values() if one.type.startswith("Custom::")]
        called = {name for name, one in self.functions.items() if ADDRESSES.attribute(one, "Arn") in custom}
        return self.fed_by("Schedule") | called

    def role(self, room: str) -> Resource:
        """The role of a function."""
        return self._only(f"{room}Role")

    def log_group(self, room: str) -> Resource:
        """The log group of a function."""
        return self._only(f"{room}Logs")

    def _only(self, logical_id: str) -> Resource:
        [found] = [one for one in self.all.values() if one.logical_id == logical_id]
        return found


@cache
def stack(**parameters: str) -> Stack:
    return Stack(**parameters)


def variables(function: Resource) -> dict[str, Any]:
    """The environment that a function is given."""
    return dict(function.property("Environment", {}).get("Variables") or {})


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def may(made: Stack, room: str) -> set[tuple[str, str]]:
    """Returns the (action, resource) pairs that the role of the function `<room>Function` allows."""
    found = set()
    for policy in made.role(room).require("Policies"):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement and "NotResource" not in statement
            found |= {(action, on) for action in listed(statement["Action"]) for on in listed(statement["Resource"])}
    return found


def short(resource: str) -> str:
    """Returns a resource ARN without the parts that all of them share."""
    resource = resource.replace("arn:aws:s3:::urlshot-storage-bucket", "bucket")
    resource = resource.replace("urlshot-Broker-", "").replace("urlshot-Consumers-", "")
    return re.sub(r"^arn:aws:\w+:[\w-]*:\w*:(function:|secret:|event-bus/|broker:)?(urlshot-)?", "", resource)
