"""The options: strict, bounded, and equal when they mean the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.errors import Rejected
from urlshot.options import Options, parse_options

UNITS = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}


def test_the_defaults_change_nothing() -> None:
    assert parse_options({}).changed() == {}
    assert parse_options({"format": "A4", "margin": "10mm", "scale": 1, "page_ranges": " "}).changed() == {}


@pytest.mark.parametrize(
    ("given_options", "changed"),
    [
        ({"format": "Letter"}, {"format": "Letter"}),
        ({"landscape": True}, {"landscape": True}),
        ({"background": False}, {"background": False}),
        ({"scale": 0.5}, {"scale": 0.5}),
        ({"page_ranges": "1-3, 5"}, {"page_ranges": "1-3,5"}),
        ({"wait_until": "networkidle"}, {"wait_until": "networkidle"}),
        ({"css": " p {} "}, {"css": "p {}"}),
        ({"hide": ["nav", " #a", "nav"]}, {"hide": ["#a", "nav"]}),
        ({"block": ["trackers", "ads", "ads"]}, {"block": ["ads", "trackers"]}),
        ({"block": []}, {}),
        ({"consent": "reject"}, {"consent": "reject"}),
        ({"margin": {"top": "1in"}}, {"margin": {"top": "25.4mm"}}),
        ({"margin": {"top": "25.4mm"}}, {"margin": {"top": "25.4mm"}}),
        ({"margin": "0px"}, {"margin": dict.fromkeys(("top", "right", "bottom", "left"), "0mm")}),
    ],
)
def test_what_differs_is_named_in_one_way(given_options: dict[str, object], changed: dict[str, object]) -> None:
    options = parse_options(given_options)
    assert options.changed() == changed
    assert parse_options(json.loads(json.dumps(options.changed()))) == options


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "options"),
        ("A4", "options"),
        ({"fromat": "A4"}, "options.fromat"),
        ({"format": "a4"}, "options.format"),
        ({"format": 4}, "options.format"),
        ({"landscape": "yes"}, "options.landscape"),
        ({"landscape": 1}, "options.landscape"),
        ({"scale": "1"}, "options.scale"),
        ({"scale": 0.09}, "options.scale"),
        ({"scale": 2.01}, "options.scale"),
        ({"scale": float("nan")}, "options.scale"),
        ({"page_ranges": "0"}, "options.page_ranges"),
        ({"page_ranges": "3-1"}, "options.page_ranges"),
        ({"page_ranges": "1-"}, "options.page_ranges"),
        ({"page_ranges": 1}, "options.page_ranges"),
        ({"page_ranges": "1," * 200}, "options.page_ranges"),
        ({"wait_until": "never"}, "options.wait_until"),
        ({"css": 1}, "options.css"),
        ({"css": "ü" * 10_001}, "options.css"),
        ({"css": "\ud800"}, "options.css"),
        ({"hide": ["\udfff"]}, "options.hide"),
        ({"hide": "nav"}, "options.hide"),
        ({"hide": [1]}, "options.hide"),
        ({"hide": [" "]}, "options.hide"),
        ({"hide": ["a" * 201]}, "options.hide"),
        ({"hide": [f"#a{number}" for number in range(51)]}, "options.hide"),
        ({"block": "ads"}, "options.block"),
        ({"block": [{}]}, "options.block"),
        ({"block": ["cookies"]}, "options.block.0"),
        ({"consent": "accept"}, "options.consent"),
        ({"margin": 10}, "options.margin"),
        ({"margin": "10"}, "options.margin.top"),
        ({"margin": "-1mm"}, "options.margin.top"),
        ({"margin": "101mm"}, "options.margin.top"),
        ({"margin": {"top": "1em"}}, "options.margin.top"),
        ({"margin": {"middle": "1mm"}}, "options.margin.middle"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(value: object, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_options(value)
    assert caught.value.code.name == "invalid_request"
    assert caught.value.field == field
    assert caught.value.detail.startswith(field)


@given(st.floats(0, 100), st.sampled_from(sorted(UNITS)))
def test_equal_lengths_are_equal(millimetres: float, unit: str) -> None:
    text = f"{millimetres / UNITS[unit]:.4f}{unit}"
    top = parse_options({"margin": {"top": text}}).margin.top
    assert abs(float(top.removesuffix("mm")) - millimetres) <= 0.02
    assert parse_options({"margin": {"top": top}}).margin.top == top


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from([*Options.model_fields, "x"]), inner),
    )
)
def test_any_json_is_options_or_a_refusal(value: object) -> None:
    try:
        options = parse_options(value)
    except Rejected as error:
        assert error.field
        return
    assert parse_options(options.changed()) == options
