"""Reads the pins of the repository: requirements of Python, and packages of npm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "layers" / "chromium" / "package-lock.json"

DEPLOYED = {
    "SharedLayer": [PROJECT / "layers" / "shared" / "requirements.txt"],
    "ChromiumLayer": [
        PROJECT / "layers" / "chromium" / "requirements.txt",
        PROJECT / "layers" / "chromium" / "requirements-fonts.txt",
    ],
}
"""The requirements in each layer."""

LINE = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
"""The start of a line that pins a package: its name and version."""
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """A pinned package; `hashes`, `licence` and `integrity` are empty if the file does not have them."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    """SHA-256 of each file that may be installed."""
    licence: str = ""
    integrity: str = ""


def python_pins(file: Path) -> Iterator[Pin]:
    """Yields the pins of a requirements file, without those of files that it includes."""
    for line in file.read_text("utf-8").replace("\\\n", " ").splitlines():
        if found := LINE.match(line):
            yield Pin(found[1], found[2], tuple(_HASH.findall(line)))


def all_python_pins() -> list[Pin]:
    """Returns the pins of all requirements files of the repository, sorted."""
    files = [file for root in ("layers", "infra", "tests") for file in (PROJECT / root).rglob("requirements*.txt")]
    return sorted({pin for file in files for pin in python_pins(file)}, key=lambda pin: (pin.name, pin.version))


def npm_packages() -> Iterator[Pin]:
    """Yields the packages of npm's lock file, with those that they depend on."""
    locked: dict[str, dict[str, Any]] = json.loads(LOCK.read_text("utf-8"))["packages"]
    for path, entry in locked.items():
        if path:
            name = path.rpartition("node_modules/")[2]
            yield Pin(name, entry["version"], licence=entry.get("license", ""), integrity=entry.get("integrity", ""))


def npm_names() -> set[str]:
    """Returns the names of the npm packages from which the layer is built; the others are only their dependencies."""
    package = json.loads(LOCK.with_name("package.json").read_text("utf-8"))
    return set(package["dependencies"])
