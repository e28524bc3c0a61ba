"""Options are strict and bounded, and equal if they mean the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core.errors import Rejected
from urlshot.core.options import Options, parse_options

UNITS = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}


def test_defaults_change_nothing() -> None:
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
        ({"wait_until": "load"}, {"wait_until": "load"}),
        ({"wait_until": "settled"}, {}),
        ({"width": "10cm", "height": "1in"}, {"width": "100mm", "height": "25.4mm"}),
        ({"width": "10cm", "height": "1in", "landscape": True}, {"width": "25.4mm", "height": "100mm"}),
        ({"width": "5000mm", "height": "1200mm"}, {"width": "5000mm", "height": "1200mm"}),
        ({"single_page": True, "width": "8cm"}, {"single_page": True, "width": "80mm"}),
        ({"single_page": True, "format": "A3"}, {"single_page": True, "format": "A3"}),
        ({"fail_on": ["status"]}, {}),
        ({"fail_on": []}, {"fail_on": []}),
        ({"fail_on": ["status", "console", "status"]}, {"fail_on": ["console", "status"]}),
        ({"viewport": {"width": 1280}}, {}),
        ({"viewport": {"width": 800}}, {"viewport": {"width": 800}}),
        ({"metadata": {"title": ""}}, {}),
        ({"metadata": {"author": "A"}}, {"metadata": {"author": "A"}}),
        ({"delay": 2}, {"delay": 2.0}),
        ({"device_scale": 1}, {}),
        ({"page_numbers": True}, {"page_numbers": True}),
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
def test_changed_options_have_one_form(given_options: dict[str, object], changed: dict[str, object]) -> None:
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
        ({"page_ranges": "1\u0662"}, "options.page_ranges"),
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
        ({"margin": "\u0661mm"}, "options.margin.top"),  # a digit outside ASCII
        ({"margin": {"top": "1em"}}, "options.margin.top"),
        ({"margin": {"middle": "1mm"}}, "options.margin.middle"),
        ({"width": "100mm"}, "options"),
        ({"width": "100mm", "height": "100mm", "format": "A3"}, "options"),
        ({"width": "9mm", "height": "100mm"}, "options.width"),
        ({"width": "100mm", "height": "5001mm"}, "options.height"),
        ({"single_page": True, "page_ranges": "1"}, "options"),
        ({"single_page": True, "css_page_size": True}, "options"),
        ({"single_page": True, "width": "8cm", "height": "8cm"}, "options"),
        ({"page_numbers": True, "footer_template": "x"}, "options"),
        ({"page_numbers": True, "margin": "7mm"}, "options"),
        ({"header_template": "x", "margin": {"top": "1mm"}}, "options"),
        ({"footer_template": "x" * 10_001}, "options.footer_template"),
        ({"fail_on": "status"}, "options.fail_on"),
        ({"fail_on": ["never"]}, "options.fail_on.0"),
        ({"viewport": {"width": 99}}, "options.viewport.width"),
        ({"viewport": {"depth": 1}}, "options.viewport.depth"),
        ({"device_scale": 4.1}, "options.device_scale"),
        ({"delay": 20.1}, "options.delay"),
        ({"delay": float("inf")}, "options.delay"),
        ({"locale": "de_DE"}, "options.locale"),
        ({"timezone": "../etc"}, "options.timezone"),
        ({"user_agent": "a\nb"}, "options.user_agent"),
        ({"wait_for": "x" * 501}, "options.wait_for"),
        ({"metadata": {"creator": "x"}}, "options.metadata.creator"),
        ({"headers": {"a": "b"}}, "options.headers"),
    ],
)
def test_wrong_option_is_refused_with_its_field(value: object, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_options(value)
    assert caught.value.code.name == "invalid_request"
    assert caught.value.field == field
    assert caught.value.detail.startswith(field)


@given(st.floats(0, 100), st.sampled_from(sorted(UNITS)))
def test_equal_lengths_are_equal_in_any_unit(millimetres: float, unit: str) -> None:
    text = f"{millimetres / UNITS[unit]:.4f}{unit}"
    top = parse_options({"margin": {"top": text}}).margin.top
    assert abs(float(top.removesuffix("mm")) - millimetres) <= 0.02
    assert parse_options({"margin": {"top": top}}).margin.top == top


LENGTHS = st.builds("{}{}".format, st.integers(1, 300), st.sampled_from(sorted(UNITS)))
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["A0", "A4", "Letter"]),
        "width": LENGTHS,
        "height": LENGTHS,
        "margin": LENGTHS | st.fixed_dictionaries({}, optional={"top": LENGTHS, "bottom": LENGTHS}),
        "scale": st.floats(0.1, 2),
        "delay": st.floats(0, 20) | st.integers(0, 20),
        "page_ranges": st.sampled_from(["", "1", "1-2, 4"]),
        "fail_on": st.lists(st.sampled_from(["status", "console", "resources"])),
        "viewport": st.fixed_dictionaries({}, optional={"width": st.integers(100, 4000)}),
        "metadata": st.fixed_dictionaries({}, optional={"title": st.text(max_size=20)}),
        **dict.fromkeys(["landscape", "single_page", "css_page_size", "page_numbers", "tagged"], st.booleans()),
    },
)


@given(VALUES)
def test_changed_options_parse_to_the_same_options(value: dict[str, object]) -> None:
    try:
        options = parse_options(value)
    except Rejected:
        return
    changed = json.loads(json.dumps(options.changed()))
    again = parse_options(changed)
    assert again == options
    assert again.changed() == options.changed()
    # Records and render jobs hold options in these forms, with every default.
    assert Options.model_validate_json(options.model_dump_json(exclude_none=True)) == options
    assert Options.model_validate(json.loads(options.model_dump_json())) == options


def test_every_option_has_a_description() -> None:
    assert all(field.description for field in Options.model_fields.values())


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from([*Options.model_fields, "x"]), inner),
    )
)
def test_any_json_is_options_or_is_refused(value: object) -> None:
    try:
        options = parse_options(value)
    except Rejected as error:
        assert error.field
        return
    assert parse_options(options.changed()) == options
