"""Looks the pins up in the advisory databases, by pip-audit and `npm audit`.

Both tools end without a finding if they cannot look a package up. So this module counts what they have looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.supply_chain.pins import LOCK, Pin, all_python_pins, npm_packages

SECONDS = 180
"""Longest run of one tool."""
_DATABASES = ("pypi", "osv")
"""The databases of pip-audit, in the order in which they are tried."""


@dataclass
class Found:
    """The result for one ecosystem: findings as lines, the number of packages looked up, and those that were not."""

    ecosystem: str
    packages: int
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    reason: str = ""
    """Why packages were not looked up."""


def of_python(pins: list[Pin]) -> Found:
    """Audits Python packages."""
    total = Found("Python", len(pins))
    for some in rounds(pins):
        found = _of_python(some)
        total.findings += found.findings
        total.missing += found.missing
        total.reason = total.reason or found.reason
    return total


def rounds(pins: list[Pin]) -> list[list[Pin]]:
    """Divides pins into lists without two versions of one package, which pip-audit refuses."""
    lists: list[list[Pin]] = []
    for pin in pins:
        fitting = (some for some in lists if _name(pin.name) not in {_name(other.name) for other in some})
        some = next(fitting, None)
        if some is None:
            lists.append([pin])
        else:
            some.append(pin)
    return lists


def _of_python(pins: list[Pin]) -> Found:
    """Audits packages; tries the next database if one cannot be reached or does not know a package."""
    found = Found("Python", len(pins))
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins), "utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
        for database in _DATABASES:
            extra = ["--format=json", "--progress-spinner=off", f"--vulnerability-service={database}"]
            found = read_python(*_run([*command, *extra]), pins)
            if not found.missing:
                break
    return found


def read_python(answer: Any, error: str, pins: list[Pin]) -> Found:
    """Reads the JSON of pip-audit; `answer` is None if it wrote none, and `error` is its error output."""
    entries = answer.get("dependencies", []) if isinstance(answer, dict) else []
    known = {_name(entry["name"]): entry for entry in entries if "vulns" in entry}
    skipped = [entry["skip_reason"] for entry in entries if "skip_reason" in entry]
    found = Found("Python", len(pins), missing=[pin.name for pin in pins if _name(pin.name) not in known])
    found.reason = (skipped or [error])[0] if found.missing else ""
    for entry in known.values():
        for one in entry["vulns"]:
            fixed = ", ".join(one.get("fix_versions") or []) or "none"
            found.findings.append(f"{entry['name']} {entry['version']}: {one['id']}, fixed in {fixed}")
    return found


def of_npm() -> Found:
    """Audits the packages of npm's lock file."""
    command = ["npm", "audit", "--json", "--omit=dev", "--package-lock-only"]
    return read_npm(*_run(command, LOCK.parent), [pin.name for pin in npm_packages()])


def read_npm(answer: Any, error: str, names: list[str]) -> Found:
    """Reads the JSON of `npm audit`; `answer` is None if it wrote none, and `error` is its error output."""
    found = Found("npm", len(names))
    if not isinstance(answer, dict) or "vulnerabilities" not in answer:
        found.missing = names
        found.reason = str(answer.get("message", "")) if isinstance(answer, dict) else error
        return found
    for name, entry in answer["vulnerabilities"].items():
        titles = [one["title"] for one in entry.get("via", []) if isinstance(one, dict) and "title" in one]
        found.findings.append(f"{name} {entry.get('range', '')}: {entry.get('severity', '')}, {'; '.join(titles)}")
    return found


def report(results: list[Found], *, strict: bool) -> tuple[list[str], int]:
    """Returns the lines to print, and the exit status: 1 for findings, and with `strict` also for gaps."""
    lines, status = [], 0
    for found in results:
        looked_up = found.packages - len(found.missing)
        lines.append(
            f"{found.ecosystem}: {looked_up} of {found.packages} packages looked up, {len(found.findings)} findings"
        )
        lines += [f"  {finding}" for finding in found.findings]
        if found.findings:
            status = 1
        if found.missing:
            some = ", ".join(found.missing[:5]) + (", …" if len(found.missing) > 5 else "")
            lines.append(f"  NOT AUDITED: {len(found.missing)} packages ({some}).")
            lines.append(f"  The advisory database could not be reached or does not know them: {_short(found.reason)}")
            status = status or int(strict)
    lines.append("Chromium is in neither database; `make bump` shows newer versions of the browser.")
    return lines, status


def audit(*, strict: bool) -> int:
    """Audits all pins, prints the result, and returns the exit status."""
    lines, status = report([of_python(all_python_pins()), of_npm()], strict=strict)
    print("\n".join(lines))
    return status


def _run(command: list[str], folder: Path | None = None) -> tuple[Any, str]:
    """Runs a tool; returns the JSON that it wrote (None if it wrote none), and its error output."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{command[0]}: {type(error).__name__}"
    try:
        return json.loads(done.stdout), done.stderr
    except ValueError:
        return None, done.stderr


def _name(name: str) -> str:
    """Normalizes the name of a Python package (PyPA's "Names and normalization")."""
    return name.lower().replace("_", "-").replace(".", "-")


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "it gave no reason")[:300]
