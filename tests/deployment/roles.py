"""What each role may do, for people; `python -m tests.deployment.roles` writes it to tests/unit/roles.json."""

from __future__ import annotations

import json
from typing import Any

from infra.local.settings import PROJECT
from tests.deployment.whole import Deployment, Resource, deployment

FILE = PROJECT / "tests" / "unit" / "roles.json"


def role_of(whole: Deployment, function: Resource) -> Resource:
    """The role by which a function acts."""
    return whole.at(whole.text(function, function.properties["Role"]))


def statements(whole: Deployment, role: Resource) -> list[dict[str, Any]]:
    """A role's statements, with resources by their names; actions and resources are lists."""
    found = [
        whole.plain(role, statement)
        for policy in role.properties.get("Policies", [])
        for statement in listed(policy["PolicyDocument"]["Statement"])
    ]
    return [{**one, "Action": listed(one["Action"]), "Resource": listed(one["Resource"])} for one in found]


def listed(value: Any) -> list[Any]:
    """What may be one or several, as several."""
    return value if isinstance(value, list) else [value]


def table(whole: Deployment) -> dict[str, Any]:
    """By function: its role, what others wrote for it, and what it may do beside that."""
    roles = {function.name: role_of(whole, function) for function in whole.of_type("AWS::Lambda::Function")}
    return {
        name: {
            "role": role.name,
            "managed": whole.plain(role, role.properties.get("ManagedPolicyArns", [])),
            "statements": [_line(statement) for statement in statements(whole, role)],
        }
        for name, role in sorted(roles.items())
    }


def _line(statement: dict[str, Any]) -> str:
    rest = {key: value for key, value in statement.items() if key not in ("Effect", "Action", "Resource", "Sid")}
    said = f"{statement['Effect']} {', '.join(statement['Action'])} on {', '.join(statement['Resource'])}"
    return said + (f" with {json.dumps(rest)}" if rest else "")


def written(whole: Deployment) -> str:
    """The table as it is kept."""
    return json.dumps(table(whole), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(deployment()), "utf-8")
