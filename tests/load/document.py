"""Writes docs/load.md. Each kind of run replaces its own section, and the other sections stay as they were."""

from __future__ import annotations

import re
import statistics
import textwrap
from pathlib import Path

from infra.local.settings import PROJECT

FILE = PROJECT / "docs" / "load.md"
SECTIONS = ("Requests", "Cost of a job", "Soak", "Broker")
_HEAD = (
    "# Load\n\n`make load` writes this document. Each section is the last run of its kind, on a machine with 2 cores.\n"
)


def with_section(document: str, name: str, body: str) -> str:
    """Returns the document with a section in place of the one of the same name; the sections have a fixed order."""
    parts = re.split(r"(?m)^## (.+)\n", document)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    found[name] = f"\n{body.strip()}\n"
    return "\n".join([_HEAD, *(f"## {one}\n\n{found[one].strip()}\n" for one in SECTIONS if one in found)])


def write_section(name: str, body: str, file: Path = FILE) -> None:
    """Writes a section into the document."""
    old = file.read_text("utf-8") if file.exists() else ""
    file.write_text(with_section(old, name, body), "utf-8")


def bullets(lines: list[str]) -> list[str]:
    """Returns facts as list items, with lines of at most 120 characters."""
    return [textwrap.fill(f"- {line}", 120, subsequent_indent="  ", break_long_words=False) for line in lines]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """Returns the 50th, 95th and 99th percentile."""
    if len(values) < 2:
        return (values or [0.0])[0], (values or [0.0])[0], (values or [0.0])[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]
