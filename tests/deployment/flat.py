"""Flattens a deployment into one template, for tools without nested stacks: Storage's Bucket becomes StorageBucket."""

from __future__ import annotations

from typing import Any

from infra.local.template.evaluator import STACK_TYPE, Resource
from tests.deployment.whole import VARIABLE, Deployment, listed


def flattened(whole: Deployment) -> dict[str, Any]:
    """The template. All but references to resources is evaluated, so that no parameters and no conditions are left."""
    outermost = whole.templates[()]
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "".join(path): _resource(whole, one) for path, one in whole.resources.items() if one.type != STACK_TYPE
        },
        "Outputs": {
            name: {"Value": _value(whole, outermost.output(name))}
            for name, output in outermost.body["Outputs"].items()
            if "Condition" not in output or outermost.condition(output["Condition"], name)
        },
    }


def _resource(whole: Deployment, resource: Resource) -> dict[str, Any]:
    stack = resource.path[:-1]
    properties = {name: resource.property(name) for name in resource.body.get("Properties") or {}}
    after = ((*stack, one) for one in listed(resource.body.get("DependsOn", [])))
    return {
        "Type": resource.type,
        "Properties": {name: _value(whole, value) for name, value in properties.items() if value is not None},
        # What waits for a whole stack is not what is looked at here.
        "DependsOn": ["".join(path) for path in after if path not in whole.templates],
    }


def _value(whole: Deployment, value: Any) -> Any:
    """A value with its symbols turned into references: one alone as it is, several in a text as a Join."""
    if isinstance(value, list):
        return [_value(whole, item) for item in value]
    if isinstance(value, dict):
        return {key: _value(whole, item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    parts = [_reference(whole, part) if index % 2 else part for index, part in enumerate(VARIABLE.split(value))]
    parts = [part for part in parts if part != ""]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    return parts[0] if len(parts) == 1 else {"Fn::Join": ["", parts]}


def _reference(whole: Deployment, name: str) -> Any:
    """The Ref or GetAtt that a symbol stands for; a text that is no symbol stays one."""
    if name.startswith("AWS::"):
        return {"Ref": name}
    found = whole.named(name)
    if found is None:
        return f"${{{name}}}"
    resource, attribute = found
    logical_id = "".join(resource.path)
    return {"Fn::GetAtt": [logical_id, attribute]} if attribute else {"Ref": logical_id}
