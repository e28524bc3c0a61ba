"""Implements the intrinsic functions that depend only on their evaluated arguments.

Source: CloudFormation's intrinsic function reference.
"""

import ipaddress
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from infra.local.template.parameters import TemplateError, scalar_text


def arguments(argument: Any, count: int | None, where: str) -> list[Any]:
    """Returns the arguments of an intrinsic function.

    Raises:
        TemplateError: They are not a list of `count` values; None allows any number.
    """
    if not isinstance(argument, list) or (count is not None and len(argument) != count):
        raise TemplateError(f"{where}: not a list" + (f" of {count}" if count else ""))
    return argument


def _select(given: list[Any], where: str) -> Any:
    index, items = given
    if not isinstance(items, list) or not 0 <= int(index) < len(items):
        raise TemplateError(f"{where}: no element {index} in {items!r}")
    return items[int(index)]


def _join(given: list[Any], where: str) -> str:
    delimiter, items = given
    if not isinstance(items, list):
        raise TemplateError(f"{where}: not a list: {items!r}")
    return str(delimiter).join(scalar_text(item) for item in items)


def _split(given: list[Any], _where: str) -> list[str]:
    delimiter, text = given
    return str(text).split(str(delimiter))


def _cidr(given: list[Any], where: str) -> list[str]:
    block, count, host_bits = given
    try:
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(host_bits))
        return [str(subnet) for subnet in islice(subnets, int(count))]
    except ValueError as error:
        raise TemplateError(f"{where}: {error}") from error


def _equals(given: list[Any], _where: str) -> bool:
    one, other = given
    return scalar_text(one) == scalar_text(other)  # CloudFormation compares strings


VALUE_FUNCTIONS: Mapping[str, tuple[int, Callable[[list[Any], str], Any]]] = {
    "Fn::Select": (2, _select),
    "Fn::Join": (2, _join),
    "Fn::Split": (2, _split),
    "Fn::Cidr": (3, _cidr),
    "Fn::Equals": (2, _equals),
}
"""The number of arguments of each function, and its implementation for the evaluated arguments and the place."""
