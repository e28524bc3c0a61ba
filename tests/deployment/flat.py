"""A deployment as one template, for what knows no nested stacks: Storage's Bucket becomes StorageBucket."""

from __future__ import annotations

import re
from typing import Any

from infra.local.settings import PROJECT
from infra.local.template import STACK_TYPE, load_yaml
from tests.deployment.whole import Deployment, Where

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


def flattened(whole: Deployment) -> dict[str, Any]:
    """The template; parameters of nested stacks are what they are given, and outputs what they give."""
    flat = _Flat(whole)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": whole.templates[()]["Parameters"],
        "Conditions": {
            flat.name(path, name): flat.value(path, condition)
            for path, template in whole.templates.items()
            for name, condition in (template.get("Conditions") or {}).items()
        },
        "Resources": {
            flat.name(path[:-1], path[-1]): flat.resource(path[:-1], dict(resource.body))
            for path, resource in whole.resources.items()
            if resource.type != STACK_TYPE
        },
        "Outputs": flat.value((), whole.templates[()]["Outputs"]),
    }


class _Flat:
    def __init__(self, whole: Deployment) -> None:
        self._whole = whole

    def name(self, path: Where, name: str) -> str:
        return "".join((*path, name))

    def resource(self, path: Where, body: dict[str, Any]) -> dict[str, Any]:
        after = body.pop("DependsOn", [])
        after = after if isinstance(after, list) else [after]
        # What waits for a whole stack is not what is looked at here.
        waits = [self.name(path, one) for one in after if (*path, one) not in self._whole.templates]
        flat = {**self.value(path, body), "DependsOn": waits}
        if "Condition" in body:
            flat["Condition"] = self.name(path, body["Condition"])
        return flat

    def value(self, path: Where, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(path, item) for item in value]
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
                case "Fn::Transform":  # AWS::Include, of a file beside the outermost template
                    return self.value(path, load_yaml(PROJECT / argument["Parameters"]["Location"]))
                case "Condition" if isinstance(argument, str):
                    return {name: self.name(path, argument)}
                case "Fn::If":
                    condition, *values = argument
                    return {name: [self.name(path, condition), *self.value(path, values)]}
        return {key: self.value(path, item) for key, item in value.items()}

    def _ref(self, path: Where, name: str) -> Any:
        template = self._whole.templates[path]
        if path and name in (template.get("Parameters") or {}):
            given = self._whole.resources[path].properties.get("Parameters") or {}
            return self.value(path[:-1], given[name]) if name in given else template["Parameters"][name]["Default"]
        return {"Ref": self.name(path, name) if name in template["Resources"] else name}

    def _get_att(self, path: Where, name: str) -> Any:
        resource, _, attribute = name.partition(".")
        inner = (*path, resource)
        if inner in self._whole.templates:
            outputs = self._whole.templates[inner]["Outputs"]
            return self.value(inner, outputs[attribute.removeprefix("Outputs.")]["Value"])
        return {"Fn::GetAtt": [self.name(path, resource), attribute]}

    def _sub(self, path: Where, argument: Any) -> Any:
        """As a Join, so that nothing in it has to be a name."""
        text, given = argument if isinstance(argument, list) else (argument, {})
        parts: list[Any] = []
        for index, part in enumerate(_VARIABLE.split(text)):
            if index % 2 == 0:
                parts.append(part.replace("${!", "${"))
            elif part in given:
                parts.append(self.value(path, given[part]))
            else:
                parts.append(self._get_att(path, part) if "." in part else self._ref(path, part))
        return {"Fn::Join": ["", [part for part in parts if part != ""]]}
