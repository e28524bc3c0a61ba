"""Installs the peers of the benchmark into .urlshot/peers: `python -m tests.bench.peers_install`.

A peer that cannot be installed is noted in missing.json with the reason, and the others are installed. The exit status
is 1 then, so that make does not take the installation for complete and tries again at the next run.

The sources of the steps are the peers' own documents: the READMEs of @sparticuz/chromium and playwright-aws-lambda,
"First steps" of WeasyPrint, and Debian's packages of chromium and wkhtmltopdf.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from infra.local.settings import PROJECT

PINS = Path(__file__).with_name("peers")
PEERS = PROJECT / ".urlshot" / "peers"
STEP_SECONDS = 900.0
NPM = ("puppeteer", "playwright-aws-lambda")
WEASYPRINT_LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")
Missing = dict[str, str]
"""Why peers are missing, by the name of the tool."""


class NotInstalled(Exception):
    """Reports that a peer cannot be installed; the text says why."""


def run(command: list[str], folder: Path | None = None) -> None:
    """Runs a command, and shows it.

    Raises:
        NotInstalled: It failed, or took too long.
    """
    print("$ " + " ".join(command), flush=True)
    name = Path(command[0]).name
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=STEP_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{name}: {type(error).__name__}") from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        reason = lines[-1].strip()[:200] if lines else f"exit status {done.returncode}"
        raise NotInstalled(f"{name}: {reason.replace(str(PROJECT), '.')}")


def apt(*packages: str) -> None:
    """Installs packages of the distribution.

    Raises:
        NotInstalled: There is no apt, nobody who may use it, or it failed.
    """
    if not shutil.which("apt-get"):
        raise NotInstalled("this machine has no apt-get")
    become_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    install = [*become_root, "apt-get", "install", "-y", "--no-install-recommends", *packages]
    try:
        run(install)
    except NotInstalled:  # the package lists may be missing or out of date
        run([*become_root, "apt-get", "update"])
        run(install)


def npm() -> None:
    """Installs the npm peers by their lock file."""
    folder = PEERS / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINS / name, folder)
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)


def weasyprint() -> None:
    """Installs WeasyPrint in an environment of its own, and its libraries if they are missing."""
    folder = PEERS / "weasyprint"
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    python = str(folder / "bin" / "python")
    run([python, "-m", "pip", "install", "--quiet", "--requirement", str(PINS / "requirements.txt")])
    try:
        run([python, "-c", "import weasyprint"])
    except NotInstalled:
        apt(*WEASYPRINT_LIBRARIES)
        run([python, "-c", "import weasyprint"])


def program(name: str) -> None:
    """Installs a program of the distribution, unless it is there."""
    if not shutil.which(name):
        apt(name)


STEPS: dict[tuple[str, ...], Callable[[], None]] = {
    NPM: npm,
    ("weasyprint",): weasyprint,
    ("chromium",): lambda: program("chromium"),
    ("wkhtmltopdf",): lambda: program("wkhtmltopdf"),
}


def install(steps: dict[tuple[str, ...], Callable[[], None]]) -> Missing:
    """Runs all steps; returns what they could not install."""
    missing: Missing = {}
    for names, step in steps.items():
        try:
            step()
        except NotInstalled as error:
            print(f"{', '.join(names)}: {error}", flush=True)
            missing |= dict.fromkeys(names, str(error))
    return missing


def read_missing() -> Missing:
    """Returns what the last installation could not install."""
    file = PEERS / "missing.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}


def main() -> int:
    """Installs all peers and writes missing.json."""
    PEERS.mkdir(parents=True, exist_ok=True)
    missing = install(STEPS)
    (PEERS / "missing.json").write_text(json.dumps(missing, indent=2) + "\n", "utf-8")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
