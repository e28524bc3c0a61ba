"""What CloudFormation is given: the templates as SAM transforms them, evaluated by the local stack's evaluator.

Addresses are symbols, so that a value shows which resource it names: ${Storage.Bucket.Arn}.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from infra.local.settings import PROJECT
from infra.local.template.evaluator import STACK_TYPE, Resource, Template, load_template
from infra.local.template.everything import everything_on

VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
TEMPLATE = PROJECT / "template.yaml"
EVERYTHING = everything_on(TEMPLATE)
_TRANSFORM_SECONDS = 60.0
_LISTS = ("AmqpEndpoints", "ConsoleURLs")
"""Attributes that are lists."""

Where = tuple[str, ...]
"""Logical ids from the outermost stack inwards."""


@cache
def _transformed() -> Mapping[Path, dict[str, Any]]:
    """What SAM makes of the templates that ask for it, as if their code lay where `sam deploy` would have put it."""
    files = (TEMPLATE, *sorted((PROJECT / "infra").glob("*.yaml")))
    given = {str(file): json.loads(json.dumps(body)) for file in files if "Transform" in (body := load_template(file))}
    for body in given.values():
        for resource in body["Resources"].values():
            if resource["Type"] == "AWS::Serverless::LayerVersion":
                resource["Properties"]["ContentUri"] = "s3://artefacts/layer"
        body["Globals"]["Function"]["CodeUri"] = "s3://artefacts/function"
    done = subprocess.run(
        [PROJECT / ".urlshot" / "sam" / "bin" / "python", Path(__file__).with_name("transform.py")],
        input=json.dumps(given), capture_output=True, text=True, timeout=_TRANSFORM_SECONDS, check=False,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    return {Path(name): body for name, body in json.loads(done.stdout).items()}


def load_transformed(file: Path) -> Mapping[str, Any]:
    """A template file as CloudFormation sees it after SAM's transform."""
    return _transformed().get(file) or load_template(file)


class Symbols:
    """Addresses that name their resource."""

    def pseudo(self, name: str) -> str | None:
        return f"${{{name}}}" if name.startswith("AWS::") else None

    def zones(self) -> list[str]:
        return [f"${{AWS::Region}}{letter}" for letter in "abc"]

    def ref(self, resource: Resource) -> str:
        return f"${{{name_of(resource)}}}"

    def attribute(self, resource: Resource, name: str) -> Any:
        text = f"${{{name_of(resource)}.{name}}}"
        return [text] if name in _LISTS else text


def name_of(resource: Resource) -> str:
    """The logical ids down to a resource, e.g. "Storage.Bucket"."""
    return ".".join(resource.path)


class Deployment:
    """A template and its nested templates, by path; `()` is the path of the outermost."""

    def __init__(self, template: Template) -> None:
        self.templates: dict[Where, Template] = {}
        self._add(template)

    def _add(self, template: Template) -> None:
        self.templates[template.path] = template
        for name, resource in template.resources.items():
            if resource.type == STACK_TYPE:
                self._add(template.nested(name))

    @cached_property
    def resources(self) -> dict[Where, Resource]:
        return {one.path: one for template in self.templates.values() for one in template.resources.values()}

    @cached_property
    def functions(self) -> dict[str, Resource]:
        """By logical id, which is told apart from all others whatever stack it is in."""
        return {one.logical_id: one for one in self.of_type("AWS::Lambda::Function")}

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.type in types]

    def at(self, text: str) -> Resource:
        """The resource that a text such as "${Storage.Bucket.Arn}" names. Errors: `KeyError`."""
        found = self.named(text.removeprefix("${").removesuffix("}"))
        if found is None:
            raise KeyError(text)
        return found[0]

    def named(self, name: str) -> tuple[Resource, str] | None:
        """The resource and the attribute that a name such as "Storage.Bucket.Arn" stands for."""
        parts = tuple(name.split("."))
        for end in range(len(parts), 0, -1):
            if parts[:end] in self.resources:
                return self.resources[parts[:end]], ".".join(parts[end:])
        return None

    # ---- dependencies -----------------------------------------------------------------------------------------------

    def neighbours(self, path: Where) -> dict[str, set[str]]:
        """Of one template: the resources that each resource names."""
        resources = self.templates[path].resources
        return {
            name: {found for found in (*_names(one.body), *listed(one.body.get("DependsOn", []))) if found in resources}
            for name, one in resources.items()
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
            if path != resource.path and path in self.templates:  # who waits for a stack waits for all that is in it
                before |= {(*path, inner) for inner in self.templates[path].resources}
            waiting += before - found
            found |= before
        return found


def deployment(parameters: Mapping[str, str] = EVERYTHING) -> Deployment:
    """The project's, with these parameters; by default with everything switched on."""
    return Deployment(Template(TEMPLATE, Symbols(), parameters, load=load_transformed))


def listed(value: Any) -> list[Any]:
    """What may be one or several, as several."""
    return value if isinstance(value, list) else [value]


def _names(value: Any) -> Iterator[str]:
    """Parameters and resources that a value names by Ref, GetAtt or Sub."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    if not isinstance(value, dict):
        return
    for key, argument in value.items():
        if key == "Ref":
            yield str(argument)
        elif key == "Fn::GetAtt":
            yield str(listed(argument)[0]).partition(".")[0]
        elif key == "Fn::Sub":
            text = argument[0] if isinstance(argument, list) else argument
            own = argument[1] if isinstance(argument, list) else {}
            yield from {found.strip().partition(".")[0] for found in VARIABLE.findall(text)} - set(own)
            yield from _names(own)
        else:
            yield from _names(argument)
