"""Reads templates as a graph, and their values as strings that name resources, such as ${Storage.Bucket.Arn}."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from infra.local.template.evaluator import STACK_TYPE, load_template

NO_VALUE = {"Ref": "AWS::NoValue"}
VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_TRANSFORM_SECONDS = 60.0

Where = tuple[str, ...]
"""Logical ids from the outermost stack inwards."""


def transformed(template: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a template after SAM's transform, with S3 addresses for the code as `sam deploy` sets them.

    Raises:
        AssertionError: The transform fails.
    """
    given = json.loads(json.dumps(template))
    for resource in given["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = "s3://artefacts/layer"
    given["Globals"]["Function"]["CodeUri"] = "s3://artefacts/function"
    done = subprocess.run(
        [PROJECT / ".urlshot" / "sam" / "bin" / "python", Path(__file__).with_name("transform.py")],
        input=json.dumps(given), capture_output=True, text=True, timeout=_TRANSFORM_SECONDS, check=False,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    return dict(json.loads(done.stdout))


@dataclass(frozen=True)
class Resource:
    """One resource; `path` holds the logical ids of the stacks that contain it, and then its own."""

    path: tuple[str, ...]
    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        return str(self.body["Type"])

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.body.get("Properties") or {}

    @property
    def name(self) -> str:
        return ".".join(self.path)


class Deployment:
    """A template and its nested templates, by path; `()` is the path of the outermost."""

    def __init__(self, template: Mapping[str, Any], folder: Path) -> None:
        self.templates: dict[Where, Mapping[str, Any]] = {}
        self._add((), template, folder)

    def _add(self, path: Where, template: Mapping[str, Any], folder: Path) -> None:
        self.templates[path] = template
        for name, body in template["Resources"].items():
            if body["Type"] == STACK_TYPE:
                file = folder / body["Properties"]["TemplateURL"]
                self._add((*path, name), load_template(file), file.parent)

    @cached_property
    def resources(self) -> dict[Where, Resource]:
        return {
            (*path, name): Resource((*path, name), body)
            for path, template in self.templates.items()
            for name, body in template["Resources"].items()
        }

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.type in types]

    def at(self, text: str) -> Resource:
        """Returns the resource that a string such as "${Storage.Bucket.Arn}" names.

        Raises:
            KeyError: The string names no resource.
        """
        parts = tuple(text.removeprefix("${").removesuffix("}").split("."))
        for end in range(len(parts), 0, -1):
            if parts[:end] in self.resources:
                return self.resources[parts[:end]]
        raise KeyError(text)

    # ---- dependencies -----------------------------------------------------------------------------------------------

    def neighbours(self, path: Where) -> dict[str, set[str]]:
        """Returns, for each resource of one template, the resources of this template that it names."""
        resources = self.templates[path]["Resources"]
        return {
            name: {found for found in (*_names(body), *_listed(body.get("DependsOn"))) if found in resources}
            for name, body in resources.items()
        }

    def needs(self, resource: Resource) -> set[Where]:
        """Returns the paths of everything that CloudFormation creates before this resource, across stacks."""
        found: set[Where] = set()
        waiting = [resource.path]
        while waiting:
            path = waiting.pop()
            stack, name = path[:-1], path[-1]
            before = {(*stack, other) for other in self.neighbours(stack)[name]}
            if stack:  # a nested resource is created after everything that its stack depends on
                before |= {(*stack[:-1], other) for other in self.neighbours(stack[:-1])[stack[-1]]}
            if path != resource.path and path in self.templates:  # a stack is created when all its resources are
                before |= {(*path, inner) for inner in self.templates[path]["Resources"]}
            waiting += before - found
            found |= before
        return found

    # ---- values as strings ------------------------------------------------------------------------------------------

    def text(self, resource: Resource, value: Any) -> str:
        """Returns a value of a resource as a string, with parameters and outputs of nested stacks resolved."""
        return self._text(resource.path[:-1], value)

    def plain(self, resource: Resource, value: Any) -> Any:
        """Returns a value of a resource with its lists and mappings; only the leaves become strings."""
        if isinstance(value, list):
            return [self.plain(resource, item) for item in value]
        if isinstance(value, dict) and not _is_intrinsic(value):
            return {key: self.plain(resource, item) for key, item in value.items()}
        return self.text(resource, value)

    def _text(self, path: Where, value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, dict | list):
            return str(value)
        if isinstance(value, list):
            return "[" + ", ".join(self._text(path, item) for item in value) + "]"
        if not _is_intrinsic(value):
            return json.dumps({key: self._text(path, item) for key, item in value.items()})
        [(name, argument)] = value.items()
        match name:
            case "Ref":
                return self._ref(path, argument)
            case "Fn::GetAtt":
                return self._get_att(path, ".".join(_listed(argument)))
            case "Fn::Sub":
                return self._sub(path, argument)
            case "Fn::Join":
                glue, parts = argument
                return str(glue).join(self._text(path, part) for part in parts)
        arguments = ", ".join(self._text(path, part) for part in _listed(argument))
        return f"{name.removeprefix('Fn::')}({arguments})"

    def _ref(self, path: Where, name: str) -> str:
        if path and name in (self.templates[path].get("Parameters") or {}):
            given = self.templates[path[:-1]]["Resources"][path[-1]]["Properties"].get("Parameters") or {}
            if name in given:
                return self._text(path[:-1], given[name])
            return str(self.templates[path]["Parameters"][name]["Default"])
        if name in self.templates[path]["Resources"]:
            return "${" + ".".join((*path, name)) + "}"
        return "${" + name + "}"

    def _get_att(self, path: Where, name: str) -> str:
        resource, _, attribute = name.partition(".")
        if (*path, resource) in self.templates and attribute.startswith("Outputs."):
            inner = (*path, resource)
            return self._text(inner, self.templates[inner]["Outputs"][attribute.removeprefix("Outputs.")]["Value"])
        return "${" + ".".join((*path, name)) + "}"

    def _sub(self, path: Where, argument: Any) -> str:
        text, given = argument if isinstance(argument, list) else (argument, {})

        def replace(found: re.Match[str]) -> str:
            name = found[1].strip()
            if name in given:
                return self._text(path, given[name])
            return self._get_att(path, name) if "." in name else self._ref(path, name)

        return VARIABLE.sub(replace, text)


@cache
def deployment() -> Deployment:
    """Returns the project's deployment."""
    return Deployment(transformed(load_template(PROJECT / "template.yaml")), PROJECT)


def used_names(value: Any) -> set[str]:
    """Returns the parameters and resources that a value names by Ref, GetAtt or Sub."""
    return set(_names(value))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    if not isinstance(value, dict):
        return
    for key, argument in value.items():
        if key == "Ref":
            yield str(argument)
        elif key == "Fn::GetAtt":
            yield _listed(argument)[0].partition(".")[0]
        elif key == "Fn::Sub":
            text = argument[0] if isinstance(argument, list) else argument
            own = argument[1] if isinstance(argument, list) else {}
            yield from {found.strip().partition(".")[0] for found in VARIABLE.findall(text)} - set(own)
            yield from _names(own)
        else:
            yield from _names(argument)


def _is_intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
