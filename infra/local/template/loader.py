"""Reads template files: YAML with CloudFormation's short forms, and SAM's Globals.

Source: "Globals section" in SAM's developer guide.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.local.template.parameters import TemplateError


class _Loader(yaml.CSafeLoader):
    """Loads YAML and converts CloudFormation's short forms (`!Ref x`) to their long forms."""


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
    return yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader


def load_template(file: Path) -> dict[str, Any]:
    """Returns the content of a template file, with its intrinsic functions in the long form.

    Raises:
        TemplateError: The file cannot be read, or is not a template.
    """
    try:
        loaded = _parsed(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{file}: {error}") from error
    if not isinstance(loaded, dict):
        raise TemplateError(f"{file}: not a template")
    return loaded


def with_globals(common: Any, own: Any) -> Any:
    """Merges a function's own properties into SAM's Globals.

    Mappings are merged, lists are concatenated, and other values of the function replace those of the Globals. An
    intrinsic function counts as one value.
    """
    if isinstance(common, dict) and isinstance(own, dict) and not (_is_intrinsic(common) or _is_intrinsic(own)):
        return {**common, **{key: with_globals(common[key], own[key]) if key in common else own[key] for key in own}}
    if isinstance(common, list) and isinstance(own, list):
        return [*common, *own]
    return own


def _is_intrinsic(node: Mapping[str, Any]) -> bool:
    return len(node) == 1 and str(next(iter(node))).startswith(("Ref", "Condition", "Fn::"))
