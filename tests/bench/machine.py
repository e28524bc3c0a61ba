"""Describes this machine and the versions of what is measured on it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from infra.local.functions.sizes import LIMIT, measure
from infra.local.settings import PROJECT

PROGRAMS = {"chromium (Debian)": "chromium", "wkhtmltopdf": "wkhtmltopdf"}
PACKAGES = {"Playwright": "playwright", "moto": "moto", "boto3": "boto3"}


def machine() -> dict[str, Any]:
    """Returns the processor, the CPUs that this process may use, memory, kernel, and the load when it began."""
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text(errors="replace")),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory[1]) / 1e6, 1) if memory else 0,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def cpu_model(cpuinfo: str) -> str:
    """Returns the model of the first processor in /proc/cpuinfo."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def versions() -> dict[str, str]:
    """Returns the versions of urlshot, Python, and the programs and packages that are there."""
    found = {"urlshot": commit(), "python": platform.python_version()}
    pins = json.loads((PROJECT / "layers/chromium/package.json").read_text("utf-8"))["dependencies"]
    found["@sparticuz/chromium (in the layer)"] = pins["@sparticuz/chromium"]
    for name, package in PACKAGES.items():
        found[name] = importlib.metadata.version(package)
    for name, program in PROGRAMS.items():
        if shutil.which(program):
            done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
            number = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
            found[name] = number[0] if number else "unknown"
    return found


def sizes() -> dict[str, int]:
    """Returns the bytes of `render` and of its layers as `sam build` made them; empty if it has not built them."""
    try:
        found = next(size for size in measure(PROJECT / ".aws-sam" / "build") if size.function == "RenderFunction")
    except FileNotFoundError:
        return {}
    return {**found.layers, f"`render` with both, of {LIMIT:,} that Lambda takes": found.total}


def commit() -> str:
    """Returns the commit of the project, with a plus if files differ from it; empty without Git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=PROJECT, capture_output=True, check=False)
    except OSError:
        return ""
    return head.stdout.strip() + ("+" if changed.returncode == 1 else "")
