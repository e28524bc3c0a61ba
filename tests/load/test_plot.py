"""The plot is well-formed, and its points are where they belong."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # our own plot is no untrusted data

import pytest

from tests.load.plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, Series, svg, ticks


def test_points_span_the_panel_and_names_are_escaped() -> None:
    line = Series("a < b", [(0, 0), (5, 5), (10, 10)], line=True)
    root = ET.fromstring(svg([Panel("Memory & more", [line])]))  # noqa: S314
    paths = [path.get("d", "") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    found = [tuple(map(float, spot)) for spot in re.findall(r"([\d.]+) ([\d.]+)", paths[-1])]
    right = WIDTH - RIGHT
    assert found == [(LEFT, TOP + HEIGHT), ((LEFT + right) / 2, TOP + HEIGHT / 2), (right, TOP)]
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "Memory & more"} <= set(texts)


def test_empty_plot_is_well_formed() -> None:
    ET.fromstring(svg([Panel("nothing", [Series("none", []), Series("line", [], line=True)])]))  # noqa: S314


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 10, False, [0, 2, 4, 6, 8, 10]),
        (0, 0.9, False, [0, 0.2, 0.4, 0.6, 0.8]),
        (0, 730, False, [0, 200, 400, 600]),
        (0.02, 40, True, [0.1, 1, 10]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    assert ticks(low, high, log) == pytest.approx(expected)
