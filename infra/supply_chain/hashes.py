"""Writes the hashes of the wheels into the requirements of the layers, with uv, which reads them from the registry.

A hash for each wheel that pip may choose: for CPython from 3.11 on, on Linux with glibc, for the two processors of
Lambda. So the same file serves the build for Lambda and the local stack with any Python. A source distribution has no
hash, because a layer is built from wheels alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.supply_chain.pins import DEPLOYED, LINE, python_pins

OLDEST = "3.11"
# Tags of Python, ABI and platform (PyPA's "Platform compatibility tags"); not of PyPy, musl and free-threaded builds.
_WHEEL = re.compile(r"-(py3|py2\.py3|cp3\d+)-(none|abi3|cp3\d+)-(any|[\w.]*manylinux[\w.]*_(x86_64|aarch64))\.whl")


def renew() -> list[Path]:
    """Writes the hashes of all pins of the layers, and returns the files that changed.

    Raises:
        SystemExit: The registry cannot be reached or lacks a pinned version, or a version has no wheel.
    """
    changed = []
    for file in (file for files in DEPLOYED.values() for file in files):
        before = file.read_text("utf-8")
        after = with_hashes(before, hashes_of(_locked([f"{pin.name}=={pin.version}" for pin in python_pins(file)])))
        if after != before:
            file.write_text(after, "utf-8")
            changed.append(file)
    return changed


def with_hashes(text: str, hashes: Mapping[str, list[str]]) -> str:
    """Returns a requirements file with these hashes by package, in place of those that it has; keeps its comments."""
    lines: list[str] = []
    for line in text.splitlines():
        if found := LINE.match(line):
            lines.append(found[0] + "".join(f" \\\n    --hash=sha256:{digest}" for digest in hashes[_plain(found[1])]))
        elif not line.lstrip().startswith("--hash="):
            lines.append(line)
    return "\n".join(lines) + "\n"


def hashes_of(lock: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the sorted hashes of the wheels in a lock file (PyPA's "pylock.toml") by the names of the packages.

    Raises:
        SystemExit: A package has no wheel.
    """
    found = {}
    for package in lock["packages"]:
        wheels = [
            one for one in package.get("wheels", []) if _WHEEL.search(urlsplit(one.get("url") or one["path"]).path)
        ]
        if not wheels:
            raise SystemExit(f"{package['name']} {package['version']} has no wheel for Linux")
        found[_plain(package["name"])] = sorted({str(one["hashes"]["sha256"]) for one in wheels})
    return found


def _locked(pins: list[str]) -> dict[str, Any]:
    """Returns uv's lock file for these pins."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-deps", "--universal"]
        command += ["--python-version", OLDEST, "--format", "pylock.toml", "--output-file", str(lock), "-"]
        done = subprocess.run(command, input="\n".join(pins), text=True, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stderr.strip() or "uv found no hashes")
        return tomllib.loads(lock.read_text("utf-8"))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
