"""Finds the role of a function in the templates, and the role's statements."""

from __future__ import annotations

from typing import Any

from tests.deployment.whole import Deployment, Resource


def role_of(whole: Deployment, function: Resource) -> Resource:
    """Returns the role of a function."""
    return whole.at(whole.text(function, function.properties["Role"]))


def statements(whole: Deployment, role: Resource) -> list[dict[str, Any]]:
    """Returns the inline statements of a role; `Action` and `Resource` are lists, with resources by their names."""
    found = [
        whole.plain(role, statement)
        for policy in role.properties.get("Policies", [])
        for statement in listed(policy["PolicyDocument"]["Statement"])
    ]
    return [{**one, "Action": listed(one["Action"]), "Resource": listed(one["Resource"])} for one in found]


def listed(value: Any) -> list[Any]:
    """Returns a list as it is, and any other value as a list of one."""
    return value if isinstance(value, list) else [value]
