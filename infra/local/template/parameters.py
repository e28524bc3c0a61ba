"""Checks the parameters of a template as CloudFormation does."""

import re
from collections.abc import Mapping
from typing import Any


class TemplateError(Exception):
    """Reports that the local stack cannot run a template, or that CloudFormation would refuse it."""


def scalar_text(value: Any) -> str:
    """Returns a scalar as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole_number(value: Any, allowed: range, where: str) -> int:
    """Returns a whole number that a template has as number or text.

    Raises:
        TemplateError: It is not a whole number in the allowed range.
    """
    text = scalar_text(value)
    if not (text.isascii() and text.isdecimal()) or int(text) not in allowed:
        raise TemplateError(f"{where}: {text} is not a whole number within {allowed.start}..{allowed.stop - 1}")
    return int(text)


def given_parameters(declared: Mapping[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the values of all parameters: a string for a scalar type, a list of strings for a list type.

    Args:
        declared: The parameters that the template declares.
        given: The values that replace defaults.
        where: The place of the template, for errors.

    Raises:
        TemplateError: A parameter is unknown, missing or invalid.
    """
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(f"{where}: unknown parameters: {', '.join(unknown)}; known are {', '.join(declared)}")
    values: dict[str, Any] = {}
    for name, rules in declared.items():
        if name not in given and "Default" not in rules:
            raise TemplateError(f"{where}: the parameter {name} has no default and was not given")
        value = scalar_text(given[name] if name in given else rules["Default"])
        place = f"{where}: parameter {name} = {value!r}"
        if "AllowedValues" in rules and value not in map(scalar_text, rules["AllowedValues"]):
            raise TemplateError(f"{place}: must be one of {rules['AllowedValues']}")
        if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
            raise TemplateError(f"{place}: must match {rules['AllowedPattern']}")
        if rules["Type"] == "Number":
            try:
                number = float(value)
            except ValueError as error:
                raise TemplateError(f"{place}: is not a number") from error
            if number < float(rules.get("MinValue", number)) or number > float(rules.get("MaxValue", number)):
                raise TemplateError(f"{place}: outside {rules.get('MinValue')}..{rules.get('MaxValue')}")
        is_list = rules["Type"] == "CommaDelimitedList" or str(rules["Type"]).startswith("List<")
        values[name] = [item.strip() for item in value.split(",") if item.strip()] if is_list else value
    return values
