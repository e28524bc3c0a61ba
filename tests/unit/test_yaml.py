"""The templates contain no text that older YAML parsers refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.stacks import PROJECT

TEMPLATES = [PROJECT / "template.yaml", *sorted((PROJECT / "infra").glob("*.yaml"))]


def flow_collections_with_colons(text: str) -> list[str]:
    """Returns the outermost `{...}` and `[...]` of a document that contain `::`."""
    return [
        text[node.start_mark.index : node.end_mark.index] for node in _found(yaml.compose(text, yaml.SafeLoader), text)
    ]


def _found(node: yaml.Node, text: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.ScalarNode):
        return
    if node.flow_style:
        if "::" in text[node.start_mark.index : node.end_mark.index]:
            yield node
        return
    pairs = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
    for child in pairs:
        yield from _found(child, text)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_template_has_no_two_colons_in_a_flow_collection(file: Path) -> None:
    """PyYAML before 5.1, for example, reads a colon in a plain scalar of a flow collection as that of a mapping."""
    assert flow_collections_with_colons(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: {Ref: AWS::NoValue}", ["{Ref: AWS::NoValue}"]),
        ('a: !If [b, c, !Ref "AWS::NoValue"]', ['!If [b, c, !Ref "AWS::NoValue"]']),
        ("a:\n  - [{b: [c::d]}]", ["[{b: [c::d]}]"]),
        ("a:\n  Ref: AWS::NoValue", []),
        ("a: {b: c}\nd: e::f", []),
    ],
)
def test_flow_collections_with_two_colons_are_found(text: str, found: list[str]) -> None:
    assert flow_collections_with_colons(text) == found
