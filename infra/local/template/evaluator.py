"""Evaluates template.yaml and the templates it nests, as CloudFormation would with these parameters.

The list of intrinsics is closed. Whatever is not on it raises `TemplateError` with the path of the place, because a
value that is silently wrong here would be a difference between this machine and AWS.

Source: CloudFormation's intrinsic function and condition function references; SAM's "Globals section".
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import yaml

from infra.local.template.parameters import TemplateError, given_parameters, scalar_text


class Addresses(Protocol):
    """Where this machine keeps things: what `Ref` and `Fn::GetAtt` of a resource give."""

    def pseudo(self, name: str) -> str | None: ...
    def zones(self) -> list[str]: ...
    def ref(self, resource: "Resource") -> str: ...
    def attribute(self, resource: "Resource", name: str) -> Any: ...


class _Omitted:
    """`AWS::NoValue`: the property that holds it is left out."""


OMITTED = _Omitted()
STACK_TYPE = "AWS::CloudFormation::Stack"
FUNCTION_TYPE = "AWS::Serverless::Function"
_SUB_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short forms (`!Ref x`), turned into their long forms."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TemplateError(f"!{suffix}: neither a scalar, a list nor a mapping")
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@cache
def _parsed(text: str) -> Any:
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader with more tags


def load_template(file: Path) -> dict[str, Any]:
    """A template file as it is, with its intrinsics in their long form. Errors: `TemplateError`."""
    try:
        loaded = _parsed(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{file}: {error}") from error
    if not isinstance(loaded, dict):
        raise TemplateError(f"{file}: not a template")
    return loaded


def with_globals(common: Any, own: Any) -> Any:
    """A function's own properties over SAM's Globals: mappings are merged, lists are joined, other own values win.

    An intrinsic is a value as a whole. Source: "Globals section" in SAM's developer guide, overriding globals.
    """
    if isinstance(common, dict) and isinstance(own, dict) and not (_is_intrinsic(common) or _is_intrinsic(own)):
        return {**common, **{key: with_globals(common[key], own[key]) if key in common else own[key] for key in own}}
    if isinstance(common, list) and isinstance(own, list):
        return [*common, *own]
    return own


def _is_intrinsic(node: Mapping[str, Any]) -> bool:
    return len(node) == 1 and str(next(iter(node))).startswith(("Ref", "Condition", "Fn::"))


@dataclass(frozen=True)
class Resource:
    """One resource that the conditions let exist; its properties are evaluated when they are asked for."""

    stack: "Template"
    logical_id: str
    type: str
    body: Mapping[str, Any] = field(repr=False)

    @property
    def where(self) -> str:
        return f"{self.stack.where}/Resources/{self.logical_id}"

    @property
    def path(self) -> tuple[str, ...]:
        """Logical ids from the outermost stack down to this resource, e.g. ("Broker", "AdminSecret")."""
        return (*self.stack.path, self.logical_id)

    def property(self, name: str, default: Any = None) -> Any:
        """The evaluated property, or `default` where it is absent or AWS::NoValue."""
        properties = self.body.get("Properties") or {}
        if name not in properties:
            return default
        value = self.stack.evaluate(properties[name], f"{self.where}/Properties/{name}")
        return default if value is OMITTED else value

    def require(self, name: str) -> Any:
        value = self.property(name)
        if value is None:
            raise TemplateError(f"{self.where}: the property {name} is missing")
        return value


class Template:
    """One template file with its parameters given. `load` reads the file, and those of nested stacks.

    Errors: `TemplateError` for an unknown intrinsic, parameter, resource or attribute, and for references in a circle.
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

    # ---- what is in it ----------------------------------------------------------------------------------------------

    @cached_property
    def resources(self) -> dict[str, Resource]:
        found = {}
        for logical_id, body in (self.body.get("Resources") or {}).items():
            if "Condition" not in body or self.condition(body["Condition"], f"{self.where}/Resources/{logical_id}"):
                found[logical_id] = Resource(self, logical_id, body["Type"], self._whole(body))
        return found

    def _whole(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of a resource, with SAM's Globals in it if it is a function."""
        common = (self.body.get("Globals") or {}).get("Function")
        if body["Type"] != FUNCTION_TYPE or common is None:
            return body
        return {**body, "Properties": with_globals(common, body.get("Properties") or {})}

    def nested(self, name: str) -> "Template":
        """The nested stack of that logical id; its TemplateURL is a file beside this one."""
        if name not in self._nested:
            resource = self._resource(name, f"{self.where}/Resources")
            file = self.file.parent / str(resource.require("TemplateURL"))
            given = self._guarded(f"Resources/{name}", lambda _: resource.property("Parameters", {}))
            self._nested[name] = Template(file, self._addresses, given, resource.path, self._load)
        return self._nested[name]

    def everything(self) -> Iterator[Resource]:
        """All resources of this stack and of the stacks nested in it."""
        yield from self.resources.values()
        for resource in self.resources.values():
            if resource.type == STACK_TYPE:
                yield from self.nested(resource.logical_id).everything()

    def output(self, name: str) -> Any:
        outputs = self.body.get("Outputs") or {}
        if name not in outputs:
            raise TemplateError(f"{self.where}: no output {name}")
        return self._guarded(f"Outputs/{name}", lambda where: self.evaluate(outputs[name]["Value"], where))

    # ---- intrinsics -------------------------------------------------------------------------------------------------

    def evaluate(self, node: Any, where: str) -> Any:
        """The value with every intrinsic in it replaced; `OMITTED` if all of it is AWS::NoValue."""
        if isinstance(node, list):
            items = [self.evaluate(item, f"{where}[{index}]") for index, item in enumerate(node)]
            return [item for item in items if item is not OMITTED]
        if not isinstance(node, dict):
            return node
        names = [key for key in node if key in ("Ref", "Condition") or str(key).startswith("Fn::")]
        if names and len(node) == 1:
            return self._intrinsic(names[0], node[names[0]], where)
        if any(name != "Condition" for name in names):  # a policy statement has a plain Condition of its own
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
            "Fn::Select": self._select,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Cidr": self._cidr,
            "Fn::GetAZs": lambda _region, _where: self._addresses.zones(),
            "Fn::Equals": self._equals,
            "Fn::Not": self._not,
            "Fn::And": self._and,
            "Fn::Or": self._or,
            "Fn::Transform": self._transform,
        }
        if name not in known:
            raise TemplateError(f"{where}: the local stack does not know {name}")
        return known[name](argument, f"{where}/{name}")

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
        """AWS::Include of a file beside this template; what is in it may refer to what is in the template."""
        if not isinstance(argument, dict) or argument.get("Name") != "AWS::Include":
            raise TemplateError(f"{where}: the local stack knows no transform but AWS::Include")
        file = self.file.parent / str(argument["Parameters"]["Location"])
        return self.evaluate(load_template(file), f"{where} ({file.name})")

    def _if(self, argument: Any, where: str) -> Any:
        name, then, otherwise = self._arguments(argument, 3, where)
        return self.evaluate(then if self.condition(name, where) else otherwise, where)

    def _select(self, argument: Any, where: str) -> Any:
        index, items = (self.evaluate(part, where) for part in self._arguments(argument, 2, where))
        if not isinstance(items, list) or not 0 <= int(index) < len(items):
            raise TemplateError(f"{where}: no element {index} in {items!r}")
        return items[int(index)]

    def _join(self, argument: Any, where: str) -> str:
        glue, items = (self.evaluate(part, where) for part in self._arguments(argument, 2, where))
        if not isinstance(items, list):
            raise TemplateError(f"{where}: not a list: {items!r}")
        return str(glue).join(scalar_text(item) for item in items)

    def _split(self, argument: Any, where: str) -> list[str]:
        glue, text = (self.evaluate(part, where) for part in self._arguments(argument, 2, where))
        return str(text).split(str(glue))

    def _cidr(self, argument: Any, where: str) -> list[str]:
        block, count, host_bits = (self.evaluate(part, where) for part in self._arguments(argument, 3, where))
        try:
            subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(host_bits))
            return [str(subnet) for subnet in islice(subnets, int(count))]
        except ValueError as error:
            raise TemplateError(f"{where}: {error}") from error

    def _equals(self, argument: Any, where: str) -> bool:
        one, other = (self.evaluate(part, where) for part in self._arguments(argument, 2, where))
        return scalar_text(one) == scalar_text(other)  # CloudFormation compares as strings

    def _not(self, argument: Any, where: str) -> bool:
        return not self._truth(self._arguments(argument, 1, where)[0], where)

    def _and(self, argument: Any, where: str) -> bool:
        return all(self._truth(part, where) for part in self._arguments(argument, None, where))

    def _or(self, argument: Any, where: str) -> bool:
        return any(self._truth(part, where) for part in self._arguments(argument, None, where))

    def _truth(self, node: Any, where: str) -> bool:
        value = self.evaluate(node, where)
        if not isinstance(value, bool):
            raise TemplateError(f"{where}: not a condition: {node!r}")
        return value

    def condition(self, name: Any, where: str) -> bool:
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

    def _arguments(self, argument: Any, count: int | None, where: str) -> list[Any]:
        if not isinstance(argument, list) or (count is not None and len(argument) != count):
            raise TemplateError(f"{where}: wants a list" + (f" of {count}" if count else ""))
        return argument

    def _guarded(self, name: str, evaluate: Callable[[str], Any]) -> Any:
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
]
