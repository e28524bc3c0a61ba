"""Finds the parameters that enable everything in a template, from its conditions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.template.evaluator import STACK_TYPE, load_template
from infra.local.template.parameters import TemplateError, scalar_text

_SAMPLES = {
    "Arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:example-AbCdEf",
    "Bucket": "example",
    "Url": "https://pdf.example.com",
    "Origin": "https://app.example.com",
    "From": "from@example.com",
    "To": "to@example.com",
    "Allow": "@example.com",
    "Zones": "us-east-1b,us-east-1d",
}
"""Values for text parameters, by the last part of the parameter's name."""
_NUMBER = 10


@dataclass(frozen=True)
class _Wish:
    """Says that a parameter must be equal to a value, or different from it."""

    parameter: str
    equal: bool
    value: str


def everything_on(file: Path) -> dict[str, str]:
    """Returns the parameters that make all conditions of a template and of its nested stacks true.

    Parameters whose defaults are sufficient are left out.

    Raises:
        TemplateError: A condition compares something else than a parameter and a value, no sample fits a parameter, or
            conditions contradict each other.
    """
    declared = load_template(file).get("Parameters") or {}
    found: dict[str, str] = {}
    for wish in _wishes(file):
        now = found.get(wish.parameter, scalar_text(declared[wish.parameter].get("Default", "")))
        if (now == wish.value) == wish.equal:
            continue
        if wish.parameter in found:
            raise TemplateError(f"{file.name}: conditions want {wish.parameter} to be {now} and something else")
        found[wish.parameter] = wish.value if wish.equal else _other(wish, declared[wish.parameter], file.name)
    return found


def _wishes(file: Path) -> Iterator[_Wish]:
    """Yields what the conditions of a template and of its nested stacks require of its parameters."""
    body = load_template(file)
    for name, node in (body.get("Conditions") or {}).items():
        yield from _of_condition(node, True, f"{file.name}/Conditions/{name}")
    for resource in body["Resources"].values():
        if resource["Type"] != STACK_TYPE:
            continue
        given = resource["Properties"].get("Parameters") or {}
        for wish in _wishes(file.parent / resource["Properties"]["TemplateURL"]):
            source = _source(given.get(wish.parameter))
            if source in (body.get("Parameters") or {}):
                yield _Wish(source, wish.equal, wish.value)


def _source(node: Any) -> str:
    """Returns the name that a nested stack's parameter refers to, "" if none. For an If, this is its first case."""
    match node:
        case {"Ref": name}:
            return str(name)
        case {"Fn::If": [_, then, _]}:
            return _source(then)
    return ""


def _of_condition(node: Any, wanted: bool, where: str) -> Iterator[_Wish]:
    """Yields the requirements of one condition. Requires every part of an Or, to enable all of its cases."""
    match node:
        case {"Condition": str()}:
            return  # `_wishes` handles the referenced condition itself
        case {"Fn::Not": [part]}:
            yield from _of_condition(part, not wanted, where)
        case {"Fn::And": [*parts]} | {"Fn::Or": [*parts]}:
            for part in parts:
                yield from _of_condition(part, wanted, where)
        case {"Fn::Equals": [{"Ref": str(name)}, str() | int() as value]} | {
            "Fn::Equals": [{"Fn::Join": ["", {"Ref": str(name)}]}, str() as value]  # compares a list, which is no text
        }:
            yield _Wish(name, wanted, scalar_text(value))
        case _:
            raise TemplateError(f"{where}: not a comparison of a parameter with a value: {node!r}")


def _other(wish: _Wish, rules: Mapping[str, Any], where: str) -> str:
    """Returns a valid value of a parameter that differs from the value of the wish."""
    if "AllowedValues" in rules:
        values = [scalar_text(value) for value in rules["AllowedValues"]]
    elif rules["Type"] == "Number":
        values = [str(_NUMBER), str(_NUMBER + 1)]
    else:
        values = [sample for end, sample in _SAMPLES.items() if wish.parameter.endswith(end)]
    for value in values:
        if value != wish.value and re.fullmatch(rules.get("AllowedPattern", ".*"), value):
            return value
    raise TemplateError(f"{where}: no sample fits the parameter {wish.parameter}; add one here")
