"""A run replaces its own section of the document, and keeps the others in their order."""

from __future__ import annotations

from tests.load.document import percentiles, with_section


def test_section_replaces_the_one_of_its_name_alone() -> None:
    once = with_section("# Load\n\nold text\n", "Soak", "first soak")
    both = with_section(once, "Requests", "| a |\n")
    assert both.index("## Requests\n\n| a |\n") < both.index("## Soak\n\nfirst soak\n")
    again = with_section(both, "Soak", "second soak")
    assert again == both.replace("first", "second")
    assert "old text" not in again and again.count("# Load\n") == 1 and "\n\n\n" not in again


def test_percentiles_are_those_of_the_values() -> None:
    assert percentiles([float(n) for n in range(101)]) == (50, 95, 99)
    assert percentiles([7.0]) == (7, 7, 7)
    assert percentiles([]) == (0, 0, 0)
