"""Finds the role of a function in the templates, and the role's statements."""

from __future__ import annotations

from typing import Any

from infra.local.template.evaluator import Resource
from tests.deployment.whole import Deployment, listed


def role_of(whole: Deployment, function: Resource) -> Resource:
    """The role by which a function acts."""
    return whole.at(function.require("Role"))


def statements(role: Resource) -> list[dict[str, Any]]:
    """A role's own statements, with resources by their names; actions and resources are lists."""
    found = [
        statement
        for policy in role.property("Policies", [])
        for statement in listed(policy["PolicyDocument"]["Statement"])
    ]
    return [{**one, "Action": listed(one["Action"]), "Resource": listed(one["Resource"])} for one in found]
