"""The examples of the README and of docs/api.md run as they are printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.e2e.conftest import Pages, Stack

EXAMPLES = Path(__file__).with_name("examples")


def run(stack: Stack, folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "API": stack.endpoint, **more}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=160, check=False
    )


def size(pdf: Path) -> list[int]:
    """Returns the width and the height of the first page in millimetres."""
    return [round(float(side) / 72 * 25.4) for side in PdfReader(pdf).pages[0].mediabox[2:]]


def test_tour_prints_what_it_promises(stack: Stack, pages: Pages, tmp_path: Path) -> None:
    for number in range(10):  # on a busy machine the page may take longer than the tour waits
        done = run(stack, tmp_path, "sh", "-eu", str(EXAMPLES / "tour.sh"), PAGE=pages.url(f"/tour/{number}"))
        assert done.returncode == 0, done.stderr
        accepted, job, report, batch = done.stdout.splitlines()
        if '"state": "done"' in job:
            break
    assert '"state": "queued"' in accepted
    assert '"state": "done"' in job
    assert '"verdict": "complete"' in report
    assert '"hit": 1' in batch
    assert "blocked_target" in batch
    assert f"This is /tour/{number}" in PdfReader(tmp_path / "page.pdf").pages[0].extract_text()
    assert size(tmp_path / "page.pdf") == [210, 148]


@pytest.mark.parametrize("command", [(sys.executable, "print_pages.py"), ("node", "print-pages.mjs")])
def test_program_prints_pages_and_shows_a_refusal(
    stack: Stack, pages: Pages, tmp_path: Path, command: tuple[str, str]
) -> None:
    program, file = command
    urls = [pages.url(f"/{file}/{number}") for number in (1, 2)]
    done = run(stack, tmp_path, program, str(EXAMPLES / file), *urls)
    assert done.returncode == 0, done.stderr
    for number in (1, 2):
        assert f"This is /{file}/{number}" in PdfReader(tmp_path / f"{number}.pdf").pages[0].extract_text()
        assert size(tmp_path / f"{number}.pdf") == [148, 210]
    refused = run(stack, tmp_path, program, str(EXAMPLES / file), "http://10.0.0.1/")
    assert refused.returncode != 0
    assert "The target is not on the public internet" in refused.stderr
