"""The two ways of launching, where little is allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from playwright_aws_lambda import Layer

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(os.geteuid() != 0, reason="to become a foreign user without capabilities takes root")
@pytest.mark.parametrize("mode", ["several", "single"])
def test_a_restricted_sandbox_prints_either_way(layer: Layer, mode: str) -> None:
    paths = [ROOT, ROOT / "layers" / "shared", ROOT / "layers" / "chromium"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with tempfile.TemporaryDirectory() as scratch:  # not pytest's, which nobody else may enter
        command = [sys.executable, "-m", "tests.integration.render.restricted", mode, str(layer.root), scratch]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found["sizes"]) == 3 and min(found["sizes"]) > 5000
    assert found["single"] == (mode == "single")
    assert found["version"].startswith("147.")
    if mode == "several":
        assert found["Uid"] == ["65500"] * 4
        assert found["CapEff"] == ["0000000000000000"] and found["NoNewPrivs"] == ["1"]
