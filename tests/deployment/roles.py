"""By which role a function acts, and what that may do."""

from __future__ import annotations

from typing import Any

from tests.deployment.whole import Deployment, Resource


def role_of(whole: Deployment, function: Resource) -> Resource:
    """The role by which a function acts."""
    return whole.at(whole.text(function, function.properties["Role"]))


def statements(whole: Deployment, role: Resource) -> list[dict[str, Any]]:
    """A role's own statements, with resources by their names; actions and resources are lists."""
    found = [
        whole.plain(role, statement)
        for policy in role.properties.get("Policies", [])
        for statement in listed(policy["PolicyDocument"]["Statement"])
    ]
    return [{**one, "Action": listed(one["Action"]), "Resource": listed(one["Resource"])} for one in found]


def listed(value: Any) -> list[Any]:
    """What may be one or several, as several."""
    return value if isinstance(value, list) else [value]
