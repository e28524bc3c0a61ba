"""The soak finds each thing that grows, and takes neither a start-up nor the AWS stand-in for growth."""

from __future__ import annotations

import pytest

from tests.load.growth import growths


def samples(name: str, *values: float) -> list[dict[str, float]]:
    """Returns samples in which all but one value stay the same."""
    return [{"api MB": 45.0, "connections": 9.0, name: value} for value in values]


def grown(found: list[dict[str, float]]) -> list[str]:
    return [one.name for one in growths(found) if one.grew]


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [
        ("render MB", 100, 1),
        ("settle files", 20, 0.3),
        ("dispatch processes", 1, 0.1),
        ("api instances", 2, 0.2),
        ("connections", 9, 0.2),
        ("channels", 9, 0.2),
        ("queues", 12, 0.2),
        ("callback files", 0, 1),
    ],
)
def test_even_growth_is_found(name: str, first: float, step: float) -> None:
    assert grown(samples(name, *(first + step * n for n in range(120)))) == [name]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("render MB", [20.0] * 30 + [150.0] * 90),
        ("render MB", [100.0, 110.0, 105.0] * 40),
        ("connections", [9.0] * 60 + [10.0] * 60),
        ("aws MB", [90.0 + n for n in range(120)]),
        ("mail files", [40.0 - n / 10 for n in range(120)]),
    ],
)
def test_start_and_small_changes_are_no_growth(name: str, values: list[float]) -> None:
    assert grown(samples(name, *values)) == []


def test_process_that_appears_in_the_last_third_is_growth() -> None:
    found = samples("api MB", *[45.0] * 120)
    for one in found[80:]:
        one["stray processes"] = 5
    assert grown(found) == ["stray processes"]


def test_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="8 samples"):
        growths(samples("api MB", *[45.0] * 8))
