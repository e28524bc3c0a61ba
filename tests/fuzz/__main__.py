"""Fuzzes with coverage by atheris: `python -m tests.fuzz FOLDER SECONDS`, or one target in this process with TARGET.

Each target has its share of the time, and continues from the inputs that earlier runs found, in FOLDER/<target>. An
input that breaks a promise is kept as FOLDER/<target>-crash-….
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

MOST_BYTES = 4096
"""Largest input."""
SLOW_SECONDS = 10
"""An input that takes longer is a finding."""


def one(folder: Path, seconds: int, target: str) -> None:
    """Fuzzes one target; libFuzzer ends the process."""
    with atheris.instrument_imports(
        include=["functions.render.network", "functions.render.pdf", "functions.render.page"]
    ):
        from tests.fuzz.targets import TARGETS, seeds
    corpus = folder / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    switches = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={SLOW_SECONDS}"]
    switches += [f"-artifact_prefix={folder / target}-", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *switches, str(corpus)], TARGETS[target])
    atheris.Fuzz()


def main(folder: Path, seconds: int) -> int:
    """Fuzzes all targets one after another; returns 1 if there is a finding."""
    from tests.fuzz.targets import TARGETS

    broken = []
    for target in TARGETS:
        share = max(1, seconds // len(TARGETS))
        command = [sys.executable, "-m", "tests.fuzz", str(folder), str(share), target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        stats = dict(line[6:].split(": ") for line in done.stderr.splitlines() if line.startswith("stat::"))
        runs = stats.get("number_of_executed_units", "?").strip()
        inputs = len(list((folder / target).iterdir()))
        print(f"{target:<10}{runs:>12} runs in {share} s, {inputs} inputs kept", flush=True)
        if done.returncode:
            broken.append(target)
            print(done.stdout[-3000:], done.stderr[-3000:], flush=True)
    print(f"findings: {', '.join(broken) or 'none'}")
    return int(bool(broken))


if __name__ == "__main__":
    place, time = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        one(place, time, sys.argv[3])
    else:
        sys.exit(main(place, time))
