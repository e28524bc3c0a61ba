"""The templates as text: what an older YAML parser would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.stacks import PROJECT

TEMPLATES = [PROJECT / "template.yaml", *sorted((PROJECT / "infra").glob("*.yaml"))]


def flow_collections_with_colons(text: str) -> list[str]:
    """The outermost `{...}` and `[...]` of a document that hold `::`."""
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
def test_no_flow_collection_of_a_template_holds_two_colons(file: Path) -> None:
    """PyYAML before 5.1, for one, takes the colon of a plain scalar in a flow collection for a mapping's."""
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
