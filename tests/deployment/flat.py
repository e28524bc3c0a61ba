"""Flattens a deployment into one template, for tools without nested stacks: Storage's Bucket becomes StorageBucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.settings import PROJECT
from infra.local.template.addresses import LocalAddresses
from infra.local.template.evaluator import STACK_TYPE, Template, load_template
from tests.deployment.whole import NO_VALUE, VARIABLE, Deployment, Where


def flattened(whole: Deployment, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Returns the flat template, with parameters and outputs of nested stacks replaced by their values.

    The local stack's code evaluates the conditions with `parameters`, so the result has no conditions.
    """
    flat = _Flat(whole, parameters)
    outputs = whole.templates[()]["Outputs"]
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": whole.templates[()]["Parameters"],
        "Resources": {
            "".join(path): flat.resource(path[:-1], resource.body)
            for path, resource in whole.resources.items()
            if resource.type != STACK_TYPE and flat.exists(path)
        },
        "Outputs": {
            name: {"Value": flat.value((), output["Value"])}
            for name, output in outputs.items()
            if flat.holds((), output.get("Condition"))
        },
    }


class _Flat:
    def __init__(self, whole: Deployment, parameters: Mapping[str, str]) -> None:
        self._whole = whole
        nowhere = LocalAddresses(aws="http://127.0.0.1:9", amqp="amqp://127.0.0.1:9", console="http://127.0.0.1:9")
        self._evaluated = Template(PROJECT / "template.yaml", nowhere, parameters)

    def holds(self, path: Where, condition: str | None) -> bool:
        """Returns whether a condition of a stack holds; True without a condition."""
        template = self._evaluated
        for name in path:
            template = template.nested(name)
        return condition is None or template.condition(condition, "/".join(path))

    def exists(self, path: Where) -> bool:
        """Returns whether the conditions of a resource, and of the stacks that contain it, hold."""
        ends = range(1, len(path) + 1)
        return all(self.holds(path[: end - 1], self._whole.resources[path[:end]].body.get("Condition")) for end in ends)

    def resource(self, path: Where, body: Mapping[str, Any]) -> dict[str, Any]:
        after = body.get("DependsOn", [])
        after = after if isinstance(after, list) else [after]
        # A dependency on a whole stack has no resource in the flat template, so it is left out.
        waits = ["".join((*path, one)) for one in after if (*path, one) not in self._whole.templates]
        return {"Type": body["Type"], "Properties": self.value(path, body.get("Properties", {})), "DependsOn": waits}

    def value(self, path: Where, value: Any) -> Any:
        if isinstance(value, list):
            items = [self.value(path, item) for item in value]
            return [item for item in items if item != NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            match name:
                case "Ref":
                    return self._ref(path, argument)
                case "Fn::GetAtt":
                    return self._get_att(path, argument if isinstance(argument, str) else ".".join(argument))
                case "Fn::Sub":
                    return self._sub(path, argument)
                case "Fn::Transform":  # AWS::Include of a file, relative to the outermost template
                    return self.value(path, load_template(PROJECT / argument["Parameters"]["Location"]))
                case "Fn::If":
                    condition, then, otherwise = argument
                    return self.value(path, then if self.holds(path, condition) else otherwise)
        values = {key: self.value(path, item) for key, item in value.items()}
        return {key: item for key, item in values.items() if item != NO_VALUE}

    def _ref(self, path: Where, name: str) -> Any:
        template = self._whole.templates[path]
        if path and name in (template.get("Parameters") or {}):
            given = self._whole.resources[path].properties.get("Parameters") or {}
            return self.value(path[:-1], given[name]) if name in given else template["Parameters"][name]["Default"]
        return {"Ref": "".join((*path, name)) if name in template["Resources"] else name}

    def _get_att(self, path: Where, name: str) -> Any:
        resource, _, attribute = name.partition(".")
        inner = (*path, resource)
        if inner in self._whole.templates:
            outputs = self._whole.templates[inner]["Outputs"]
            return self.value(inner, outputs[attribute.removeprefix("Outputs.")]["Value"])
        return {"Fn::GetAtt": ["".join((*path, resource)), attribute]}

    def _sub(self, path: Where, argument: Any) -> Any:
        """Returns the Fn::Sub as an Fn::Join, whose parts may be any values."""
        text, given = argument if isinstance(argument, list) else (argument, {})
        parts: list[Any] = []
        for index, part in enumerate(VARIABLE.split(text)):
            if index % 2 == 0:
                parts.append(part.replace("${!", "${"))
            elif part in given:
                parts.append(self.value(path, given[part]))
            else:
                parts.append(self._get_att(path, part) if "." in part else self._ref(path, part))
        return {"Fn::Join": ["", [part for part in parts if part != ""]]}
