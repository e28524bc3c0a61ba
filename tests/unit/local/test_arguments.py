"""`make` passes arguments unchanged to the program, and refuses wrong ones before it starts anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ODD = """http://x.test/?a='b"c&d=$e;f=$(g)`h`\\i#j k"""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_url_with_quotes_and_dollars_is_passed_unchanged() -> None:
    show = "--eval=show: ; @printenv URLSHOT_URL"
    assert make(show, "show", f"URL={ODD}").stdout == f"{ODD}\n"


@pytest.mark.parametrize(
    ("target", "argument", "reason"),
    [
        ("up", "PORT=80000", "is not a port"),
        ("up", "PORT=http", "is not a port"),
        ("up", "CA=/nowhere/ca.pem", "No such file or directory"),
        ("up", "CA=README.md", "no PEM"),
        ("up", "ALLOW=localhost", "is not host:port"),
        ("pdf", "ALLOW=localhost:99999", "is not host:port"),
        ("pdf", "OUT=tests", "is a folder"),
        ("pdf", "OUT=README.md/page.pdf", "cannot be written"),
        ("pdf", "PYTHON=/nowhere/python3", "needs Python 3.11"),
        ("pdf", "PYTHON=/bin/false", "needs Python 3.11"),
    ],
)
def test_wrong_argument_is_one_sentence_and_status_2(target: str, argument: str, reason: str) -> None:
    done = make(f"check-{target}", argument)
    assert done.returncode == 2
    [sentence, of_make] = done.stderr.splitlines()
    assert reason in sentence
    assert of_make.startswith("make: ***")


@pytest.mark.parametrize("target", ["up", "pdf"])
def test_right_arguments_pass(target: str, tmp_path: Path) -> None:
    done = make(f"check-{target}", f"URL={ODD}", f"OUT={tmp_path}/new/x.pdf", "PORT=65535", "ALLOW=127.0.0.1:1,[::1]:2")
    assert (done.returncode, done.stderr) == (0, "")
