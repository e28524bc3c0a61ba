"""Evaluates template.yaml and its nested templates for given parameters, as CloudFormation does.

The evaluator knows a fixed list of intrinsic functions. Every other one raises `TemplateError` with its place in the
template, because a silently wrong value would be a difference between this machine and AWS.

Source: CloudFormation's references of intrinsic functions and condition functions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from infra.local.template.intrinsics import VALUE_FUNCTIONS, arguments
from infra.local.template.loader import load_template, with_globals
from infra.local.template.parameters import TemplateError, given_parameters, scalar_text


class Addresses(Protocol):
    """Provides the values that `Ref` and `Fn::GetAtt` of a resource have."""

    def pseudo(self, name: str) -> str | None: ...
    def zones(self) -> list[str]: ...
    def ref(self, resource: "Resource") -> str: ...
    def attribute(self, resource: "Resource", name: str) -> Any: ...


class _Omitted:
    """Is the value of `AWS::NoValue`; a property with this value is left out."""


OMITTED = _Omitted()
STACK_TYPE = "AWS::CloudFormation::Stack"
FUNCTION_TYPE = "AWS::Serverless::Function"
_SUB_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


@dataclass(frozen=True)
class Resource:
    """Holds a resource whose condition is true. Its properties are evaluated when they are read."""

    stack: "Template"
    logical_id: str
    type: str
    body: Mapping[str, Any] = field(repr=False)

    @property
    def where(self) -> str:
        return f"{self.stack.where}/Resources/{self.logical_id}"

    @property
    def path(self) -> tuple[str, ...]:
        """Returns the logical ids from the outermost stack to this resource, such as ("Broker", "AdminSecret")."""
        return (*self.stack.path, self.logical_id)

    def property(self, name: str, default: Any = None) -> Any:
        """Returns the evaluated property, or `default` if it is absent or AWS::NoValue."""
        properties = self.body.get("Properties") or {}
        if name not in properties:
            return default
        value = self.stack.evaluate(properties[name], f"{self.where}/Properties/{name}")
        return default if value is OMITTED else value

    def require(self, name: str) -> Any:
        """Returns the evaluated property.

        Raises:
            TemplateError: The property is missing.
        """
        value = self.property(name)
        if value is None:
            raise TemplateError(f"{self.where}: the property {name} is missing")
        return value


class Template:
    """Evaluates one template file for given parameters.

    All methods raise `TemplateError` for an unknown intrinsic function, parameter, resource or attribute, and for
    references in a circle.

    Args:
        file: The template.
        addresses: The values of references to resources.
        overrides: The parameters that differ from their defaults.
        path: The logical ids of the nested stacks, from the outermost one to this one.
        load: Reads this file and the files of nested stacks.
    """

    def __init__(
        self,
        file: Path,
        addresses: Addresses,
        overrides: Mapping[str, Any] | None = None,
        path: tuple[str, ...] = (),
        load: Callable[[Path], Mapping[str, Any]] = load_template,
    ) -> None:
        self.file = file
        self.path = path
        self.where = file.name + ("" if not path else f" ({'/'.join(path)})")
        self._addresses = addresses
        self._load = load
        self.body = load(file)
        self.parameters = given_parameters(self.body.get("Parameters") or {}, overrides or {}, self.where)
        self._nested: dict[str, Template] = {}
        self._under_way: list[str] = []

    # ---- contents ---------------------------------------------------------------------------------------------------

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """The resources of this stack whose conditions are true, by logical id."""
        found = {}
        for logical_id, body in (self.body.get("Resources") or {}).items():
            if "Condition" not in body or self.condition(body["Condition"], f"{self.where}/Resources/{logical_id}"):
                found[logical_id] = Resource(self, logical_id, body["Type"], self._with_globals(body))
        return found

    def _with_globals(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the body of a resource; for a function, with SAM's Globals merged in."""
        common = (self.body.get("Globals") or {}).get("Function")
        if body["Type"] != FUNCTION_TYPE or common is None:
            return body
        return {**body, "Properties": with_globals(common, body.get("Properties") or {})}

    def nested(self, name: str) -> "Template":
        """Returns the nested stack with this logical id. Its TemplateURL is relative to this file."""
        if name not in self._nested:
            resource = self._resource(name, f"{self.where}/Resources")
            file = self.file.parent / str(resource.require("TemplateURL"))
            given = self._guarded(f"Resources/{name}", lambda _: resource.property("Parameters", {}))
            self._nested[name] = Template(file, self._addresses, given, resource.path, self._load)
        return self._nested[name]

    def everything(self) -> Iterator[Resource]:
        """Yields the resources of this stack and of its nested stacks."""
        yield from self.resources.values()
        for resource in self.resources.values():
            if resource.type == STACK_TYPE:
                yield from self.nested(resource.logical_id).everything()

    def output(self, name: str) -> Any:
        """Returns the evaluated output with this name."""
        outputs = self.body.get("Outputs") or {}
        if name not in outputs:
            raise TemplateError(f"{self.where}: no output {name}")
        return self._guarded(f"Outputs/{name}", lambda where: self.evaluate(outputs[name]["Value"], where))

    # ---- intrinsics -------------------------------------------------------------------------------------------------

    def evaluate(self, node: Any, where: str) -> Any:
        """Returns the value of a node with all intrinsic functions evaluated; `OMITTED` for AWS::NoValue."""
        if isinstance(node, list):
            items = [self.evaluate(item, f"{where}[{index}]") for index, item in enumerate(node)]
            return [item for item in items if item is not OMITTED]
        if not isinstance(node, dict):
            return node
        names = [key for key in node if key in ("Ref", "Condition") or str(key).startswith("Fn::")]
        if names and len(node) == 1:
            return self._intrinsic(names[0], node[names[0]], where)
        if any(name != "Condition" for name in names):  # a policy statement also has a key Condition
            raise TemplateError(f"{where}: {names[0]} stands beside other keys")
        values = {key: self.evaluate(value, f"{where}/{key}") for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not OMITTED}

    def _intrinsic(self, name: str, argument: Any, where: str) -> Any:
        known: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::Sub": self._sub,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::GetAZs": lambda _region, _where: self._addresses.zones(),
            "Fn::Not": self._not,
            "Fn::And": self._and,
            "Fn::Or": self._or,
            "Fn::Transform": self._transform,
        }
        place = f"{where}/{name}"
        if name in VALUE_FUNCTIONS:
            count, function = VALUE_FUNCTIONS[name]
            return function([self.evaluate(part, place) for part in arguments(argument, count, place)], place)
        if name not in known:
            raise TemplateError(f"{where}: the local stack does not know {name}")
        return known[name](argument, place)

    def _ref(self, name: Any, where: str) -> Any:
        if name == "AWS::NoValue":
            return OMITTED
        if name in self.parameters:
            return self.parameters[name]
        pseudo = self._addresses.pseudo(str(name))
        if pseudo is not None:
            return pseudo
        return self._addresses.ref(self._resource(str(name), where))

    def _get_att(self, argument: Any, where: str) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not (isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) for part in parts)):
            raise TemplateError(f"{where}: not [resource, attribute]: {argument!r}")
        resource, attribute = self._resource(parts[0], where), parts[1]
        if resource.type != STACK_TYPE:
            return self._addresses.attribute(resource, attribute)
        kind, _, name = attribute.partition(".")
        if kind != "Outputs" or not name:
            raise TemplateError(f"{where}: a nested stack has Outputs.<name> only, not {attribute}")
        return self.nested(resource.logical_id).output(name)

    def _sub(self, argument: Any, where: str) -> str:
        text, given = (argument[0], argument[1]) if isinstance(argument, list) else (argument, {})
        if not isinstance(text, str) or not isinstance(given, dict):
            raise TemplateError(f"{where}: neither a string nor [string, mapping]")

        def replace(match: re.Match[str]) -> str:
            literal, name = match.group(1), match.group(2).strip()
            if literal:
                return "${" + name + "}"
            if name in given:
                value = self.evaluate(given[name], f"{where}/{name}")
            else:
                value = self._get_att(name, where) if "." in name else self._ref(name, where)
            if not isinstance(value, str | int | float):
                raise TemplateError(f"{where}: ${{{name}}} is not a scalar")
            return scalar_text(value)

        return _SUB_VARIABLE.sub(replace, text)

    def _transform(self, argument: Any, where: str) -> Any:
        """Evaluates AWS::Include of a file whose path is relative to this template; it may refer to this template."""
        if not isinstance(argument, dict) or argument.get("Name") != "AWS::Include":
            raise TemplateError(f"{where}: the local stack knows no transform but AWS::Include")
        file = self.file.parent / str(argument["Parameters"]["Location"])
        return self.evaluate(load_template(file), f"{where} ({file.name})")

    def _if(self, argument: Any, where: str) -> Any:
        name, then, otherwise = arguments(argument, 3, where)
        return self.evaluate(then if self.condition(name, where) else otherwise, where)

    def _not(self, argument: Any, where: str) -> bool:
        return not self._truth(arguments(argument, 1, where)[0], where)

    def _and(self, argument: Any, where: str) -> bool:
        return all(self._truth(part, where) for part in arguments(argument, None, where))

    def _or(self, argument: Any, where: str) -> bool:
        return any(self._truth(part, where) for part in arguments(argument, None, where))

    def _truth(self, node: Any, where: str) -> bool:
        value = self.evaluate(node, where)
        if not isinstance(value, bool):
            raise TemplateError(f"{where}: not a condition: {node!r}")
        return value

    def condition(self, name: Any, where: str) -> bool:
        """Returns the value of a condition; `where` is the place of the reference, for errors."""
        conditions = self.body.get("Conditions") or {}
        if name not in conditions:
            raise TemplateError(f"{where}: no condition {name!r}")
        return bool(self._guarded(f"Conditions/{name}", lambda place: self._truth(conditions[name], place)))

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _resource(self, name: str, where: str) -> Resource:
        if name in self.resources:
            return self.resources[name]
        declared = name in (self.body.get("Resources") or {})
        raise TemplateError(f"{where}: {name} " + ("is not created (its Condition)" if declared else "does not exist"))

    def _guarded(self, name: str, evaluate: Callable[[str], Any]) -> Any:
        """Evaluates a named part of the template, and detects references in a circle."""
        if name in self._under_way:
            raise TemplateError(f"{self.where}: in a circle: {' -> '.join([*self._under_way, name])}")
        self._under_way.append(name)
        try:
            return evaluate(f"{self.where}/{name}")
        finally:
            self._under_way.pop()


__all__ = [
    "FUNCTION_TYPE",
    "OMITTED",
    "STACK_TYPE",
    "Addresses",
    "Resource",
    "Template",
    "TemplateError",
    "load_template",
    "with_globals",
]
