"""Tests what a page that owns the browser's processes can read. docs/security.md says what it can do all the same."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from playwright_aws_lambda import Layer

from .test_sandbox import ROOT, readable_copy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights"),
]


@pytest.fixture(scope="module")
def seen(layer: Layer) -> dict[str, Any]:
    """Returns what the spy saw; see broken_out.py."""
    secret = f"made-up-{secrets.token_hex(12)}"
    with tempfile.TemporaryDirectory() as folder:  # other users may not enter pytest's folder
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        root = readable_copy(layer.root, Path(folder) / "layer")
        paths = [ROOT, ROOT / "layers" / "shared", root / "python"]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "AWS_ACCESS_KEY_ID": secret,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": secret,
            "AWS_REGION": "eu-west-1",
        }
        command = [sys.executable, "-m", "tests.integration.render.broken_out", str(root), str(scratch)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(done.stdout)
    assert "printed" in PdfReader(io.BytesIO(base64.b64decode(loaded["pdf"]))).pages[0].extract_text()
    return loaded


def test_process_before_its_sealing_shows_its_credentials(seen: dict[str, Any]) -> None:
    assert [seen["me"], "environ"] in seen["before"]["found"]
    assert seen["before"]["uid"] == 65500


def test_credentials_are_in_no_process_and_no_file_that_a_page_can_read(seen: dict[str, Any]) -> None:
    """The spy reads the memory of the browser's processes, and finds neither credentials nor an upload's form."""
    after = seen["after"]
    assert after["found"] == []
    assert seen["own"] == ["FONTCONFIG_PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"]
    assert [name for name in seen["environ"] if name.startswith("AWS_")] == ["AWS_REGION"]
    read = {int(pid) for pid, names in after["read"].items() if {"environ", "mem", "fd"} <= set(names)}
    assert set(seen["browsers"]) & read, "the spy can read its own kind, so it would have found something"


def test_function_shows_neither_memory_nor_files_and_cannot_be_traced(seen: dict[str, Any]) -> None:
    after = seen["after"]
    closed = {name for pid, name in after["denied"] if pid == seen["me"]}
    assert {"environ", "mem", "fd", "maps", "auxv"} <= closed
    assert (after["traced"], after["errno"]) == (False, 1)  # EPERM


def test_browser_inherits_no_file_of_the_function(seen: dict[str, Any]) -> None:
    known = re.compile(r"pipe:|socket:|anon_inode:|/dev/(null|urandom|shm/)|/memfd:|/proc|/ \(deleted\)")
    foreign = [
        path
        for path in seen["opened"]
        if not known.match(path) and not path.startswith((seen["scratch"], str(Path(seen["scratch"]).parent)))
    ]
    assert foreign == []
