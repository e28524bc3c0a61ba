"""Templates as a graph, and their values as texts in which a resource stands by its name: ${Storage.Bucket.Arn}."""

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
from infra.local.template import STACK_TYPE, load_template

NO_VALUE = {"Ref": "AWS::NoValue"}
VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_TRANSFORM_SECONDS = 60.0

Where = tuple[str, ...]
"""Logical ids from the outermost stack inwards."""


def transformed(template: Mapping[str, Any]) -> dict[str, Any]:
    """What SAM makes of a template whose code lies where `sam deploy` would have put it."""
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
    """One resource; `path` is its logical id after those of the stacks that it is in."""

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
    """A template and those that it nests; `()` is the path of the outermost."""

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
        """The resource that a text such as "${Storage.Bucket.Arn}" names."""
        parts = tuple(text.removeprefix("${").removesuffix("}").split("."))
        for end in range(len(parts), 0, -1):
            if parts[:end] in self.resources:
                return self.resources[parts[:end]]
        raise KeyError(text)

    # ---- what depends on what ---------------------------------------------------------------------------------------

    def neighbours(self, path: Where) -> dict[str, set[str]]:
        """Of one template: the resources that each resource names."""
        resources = self.templates[path]["Resources"]
        return {
            name: {found for found in (*_names(body), *_listed(body.get("DependsOn"))) if found in resources}
            for name, body in resources.items()
        }

    def needs(self, resource: Resource) -> set[Where]:
        """Everything that must be there before this resource, through all stacks."""
        found: set[Where] = set()
        waiting = [resource.path]
        while waiting:
            path = waiting.pop()
            stack, name = path[:-1], path[-1]
            before = {(*stack, other) for other in self.neighbours(stack)[name]}
            if stack:  # what is in a stack comes after all that the stack as a whole waits for
                before |= {(*stack[:-1], other) for other in self.neighbours(stack[:-1])[stack[-1]]}
            if path != resource.path and path in self.templates:  # who waits for a stack waits for all that is in it
                before |= {(*path, inner) for inner in self.templates[path]["Resources"]}
            waiting += before - found
            found |= before
        return found

    # ---- values as texts --------------------------------------------------------------------------------------------

    def text(self, resource: Resource, value: Any) -> str:
        """A value of a resource, parameters and outputs of nested stacks looked through."""
        return self._text(resource.path[:-1], value)

    def plain(self, resource: Resource, value: Any) -> Any:
        """The same, for a value that may hold lists and mappings: its leaves are texts."""
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
    """The project's."""
    return Deployment(transformed(load_template(PROJECT / "template.yaml")), PROJECT)


def used_names(value: Any) -> set[str]:
    """Parameters and resources that a value names by Ref, GetAtt or Sub."""
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
