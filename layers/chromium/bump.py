"""Shows the newest browser and Playwright, and takes them: `python layers/chromium/bump.py [--take]`; `make bump`.

Both are pinned, because a driver fits the browsers of its time. With `--take`, package.json, package-lock.json and the
requirements name the newest ones; the layer is then built from them, and the gallery tells what they print differently.
npm gives the newest release of `@sparticuz/chromium` that says it runs on the Node.js that is here: newer ones want a
newer Node.js to build the layer, which CI may have and this machine may not.
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
WHEELS = ("playwright", "greenlet", "zstandard")
"""What requirements.txt pins; Playwright says itself which greenlet it takes."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows, and takes, the newest browser and Playwright.")
    parser.add_argument("--take", action="store_true", help="write them into package.json and requirements.txt")
    take = parser.parse_args().take
    pinned = {**pinned_wheels(), PACKAGE: json.loads((HERE / "package.json").read_text())["dependencies"][PACKAGE]}
    newest = {PACKAGE: newest_browser(), **{name: newest_wheel(name) for name in WHEELS}}
    for name, version in newest.items():
        print(
            f"  {name:<20} {pinned[name]:>9} -> {version}" if version != pinned[name] else f"  {name:<20} {version:>9}"
        )
    changed = {name: version for name, version in newest.items() if version != pinned[name]}
    if not take:
        print("make bump TAKE=1 takes them" if changed else "nothing is newer")
        return
    if PACKAGE in changed:
        run(["npm", "install", "--package-lock-only", "--ignore-scripts", "--save-exact", "--no-audit", "--no-fund",
             "--loglevel=error", f"{PACKAGE}@{changed[PACKAGE]}"])  # fmt: skip
    text = (HERE / "requirements.txt").read_text()
    for name, version in changed.items():
        text = re.sub(rf"(?m)^{re.escape(name)}==.*$", f"{name}=={version}", text)
    (HERE / "requirements.txt").write_text(text)


def pinned_wheels() -> dict[str, str]:
    """Names and versions of requirements.txt."""
    return dict(re.findall(r"(?m)^([\w-]+)==(\S+)$", (HERE / "requirements.txt").read_text()))


def newest_browser() -> str:
    """The newest release of the browser's package that this machine's Node.js may install."""
    node = release(run(["node", "--version"]).strip().removeprefix("v"))
    versions = json.loads(run(["npm", "view", "--json", PACKAGE, "versions"]))
    for version in sorted((found for found in versions if "-" not in found), key=release, reverse=True)[:12]:
        engines = run(["npm", "view", "--json", f"{PACKAGE}@{version}", "engines"])
        if fits((json.loads(engines) if engines else {}).get("node", ""), node):
            return str(version)
    raise SystemExit(f"no release of {PACKAGE} runs on this Node.js {node}")


def newest_wheel(name: str) -> str:
    """The newest release of a Python package; raises SystemExit if pip does not find one."""
    found = re.search(r"\(([^)]+)\)", run([sys.executable, "-m", "pip", "index", "versions", name]))
    if found is None:
        raise SystemExit(f"pip does not know {name}")
    return found[1]


def fits(wanted: str, node: tuple[int, ...]) -> bool:
    """Whether a Node.js is one that `engines` asks for; only ranges like `>=20.11.0` and `^20 || >=22` are met here."""
    for choice in filter(None, wanted.split("||")):
        match = re.search(r"(\^|>=)?\s*v?([\d.]+)", choice)
        if match and node >= release(match[2]) and (match[1] == ">=" or node[0] == release(match[2])[0]):
            return True
    return not wanted


def release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def run(command: list[str]) -> str:
    """A tool's output; raises SystemExit with what it said if it fails."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
