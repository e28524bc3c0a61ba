"""Shows the newest versions of the browser and of the layer's Python packages: `make bump` runs it.

Usage: `python layers/chromium/bump.py [--take]`

All are pinned. `--take` writes the newest versions into package.json, package-lock.json and requirements.txt. `make
bump TAKE=1` then builds the layer and shows in the gallery what is printed differently. Only releases of
`@sparticuz/chromium` count whose `engines` allow this machine's Node.js, because a newer release could not be installed
here.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "@sparticuz/chromium"
WHEELS = ("pybase64", "zstandard")
"""The packages that requirements.txt pins."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Show the newest browser of the layer, or update to it.")
    parser.add_argument(
        "--take",
        action="store_true",
        help="write the newest versions into package.json, package-lock.json and requirements.txt",
    )
    take = parser.parse_args().take
    pinned = {**pinned_wheels(), PACKAGE: json.loads((HERE / "package.json").read_text())["dependencies"][PACKAGE]}
    newest = {PACKAGE: newest_browser(), **{name: newest_wheel(name) for name in WHEELS}}
    for name, version in newest.items():
        print(
            f"  {name:<20} {pinned[name]:>9} -> {version}" if version != pinned[name] else f"  {name:<20} {version:>9}"
        )
    changed = {name: version for name, version in newest.items() if version != pinned[name]}
    if not take:
        print("Update with: make bump TAKE=1" if changed else "All versions are the newest.")
        return
    if PACKAGE in changed:
        run(["npm", "install", "--package-lock-only", "--ignore-scripts", "--save-exact", "--no-audit", "--no-fund",
             "--loglevel=error", f"{PACKAGE}@{changed[PACKAGE]}"])  # fmt: skip
    text = (HERE / "requirements.txt").read_text()
    for name, version in changed.items():
        text = re.sub(rf"(?m)^{re.escape(name)}==.*$", f"{name}=={version}", text)
    (HERE / "requirements.txt").write_text(text)


def pinned_wheels() -> dict[str, str]:
    """Returns the packages of requirements.txt with their versions."""
    return dict(re.findall(r"(?m)^([\w-]+)==([^\s\\]+)", (HERE / "requirements.txt").read_text()))


def newest_browser() -> str:
    """Returns the newest release of the browser's package that this machine's Node.js can install."""
    node = release(run(["node", "--version"]).strip().removeprefix("v"))
    versions = json.loads(run(["npm", "view", "--json", PACKAGE, "versions"]))
    for version in sorted((found for found in versions if "-" not in found), key=release, reverse=True)[:12]:
        engines = run(["npm", "view", "--json", f"{PACKAGE}@{version}", "engines"])
        if fits((json.loads(engines) if engines else {}).get("node", ""), node):
            return str(version)
    raise SystemExit(f"None of the newest releases of {PACKAGE} runs on Node.js {'.'.join(map(str, node))}.")


def newest_wheel(name: str) -> str:
    """Returns the newest release of a Python package; raises SystemExit if pip does not find one."""
    found = re.search(r"\(([^)]+)\)", run([sys.executable, "-m", "pip", "index", "versions", name]))
    if found is None:
        raise SystemExit(f"pip does not find {name}.")
    return found[1]


def fits(wanted: str, node: tuple[int, ...]) -> bool:
    """Returns whether a Node.js fits a range of `engines` such as `>=20.11.0` or `^20 || >=22`; others do not occur."""
    for choice in filter(None, wanted.split("||")):
        match = re.search(r"(\^|>=)?\s*v?([\d.]+)", choice)
        if match and node >= release(match[2]) and (match[1] == ">=" or node[0] == release(match[2])[0]):
            return True
    return not wanted


def release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def run(command: list[str]) -> str:
    """Returns the output of a command; raises SystemExit with its error output if it fails."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
