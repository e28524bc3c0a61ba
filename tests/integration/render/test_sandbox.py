"""Tests both ways to launch the browser in a restricted sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from playwright_aws_lambda import Layer

ROOT = Path(__file__).parents[3]


def readable_copy(root: Path, place: Path) -> Path:
    """Copies the layer so that every user can read it; only its owner may be allowed to enter the checkout."""
    shutil.copytree(root, place, symlinks=True)
    for path in (place.parent, place, *place.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return place


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a foreign user without capabilities")
@pytest.mark.parametrize("mode", ["several", "single"])
def test_browser_prints_in_a_restricted_sandbox(layer: Layer, mode: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # other users may not enter pytest's folder
        root = readable_copy(layer.root, Path(folder) / "layer")
        paths = [ROOT, ROOT / "layers" / "shared", root / "python"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, "-m", "tests.integration.render.restricted", mode, str(root), folder]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found["sizes"]) == 3 and min(found["sizes"]) > 5000
    assert found["single"] == (mode == "single")
    assert found["version"].startswith("147.")
    if mode == "several":
        assert found["Uid"] == ["65500"] * 4
        assert found["CapEff"] == ["0000000000000000"] and found["NoNewPrivs"] == ["1"]
