"""Tests the egress rules with hundreds of attempts at private targets, in the real browser behind the real proxy.

The browsers run in their own network namespaces, so that no request leaves the machine. An unguarded browser makes the
same attempts and must reach the targets, which shows that these tests can fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .attempts import BLOCKED, INERT
from .network import unavailable
from .runner import SECRET

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 500

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS + 10)


class Outcome:
    """The results of one browser."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.attempts = [tuple(attempt) for attempt in found["attempts"]]

    def names(self, *, allowed: bool, reached: bool) -> list[str]:
        return [f"{w} -> {h}:{p}" for w, h, p, may, did in self.attempts if may == allowed and did == reached]

    def count(self, *, allowed: bool) -> int:
        return sum(may == allowed for *_, may, _ in self.attempts)


@pytest.fixture(scope="module")
def outcome() -> Callable[[str], Outcome]:
    """Starts the three browsers side by side, and returns a function that waits for the outcome of a mode."""
    if reason := unavailable():
        pytest.skip(f"the egress rules cannot be tested: {reason}")
    layer = Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", ROOT / ".urlshot" / "layers" / "ChromiumLayer"))
    if not (layer / "chromium" / "manifest.json").is_file():
        pytest.fail(f"no Chromium layer at {layer}; build it with `make layers`")

    def run(mode: str) -> Outcome:
        paths = [ROOT, ROOT / "layers" / "shared", ROOT / "layers" / "chromium"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, "-m", "tests.integration.egress.runner", mode, str(layer)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Outcome(json.loads(done.stdout))

    pool = ThreadPoolExecutor()
    running: dict[str, Future[Outcome]] = {mode: pool.submit(run, mode) for mode in ("guarded", "open", "naive")}
    return lambda mode: running[mode].result()


def test_page_reaches_no_private_target(outcome: Callable[[str], Outcome]) -> None:
    guarded = outcome("guarded")
    print(f"{guarded.count(allowed=False)} attempts at private targets, on {len(guarded.found['visited'])} pages")
    assert guarded.count(allowed=False) >= 600
    assert guarded.names(allowed=False, reached=True) == []
    assert guarded.found["breaches"] == []
    assert guarded.found["datagrams"] == []
    assert guarded.found["workers"] == [False, False]
    assert guarded.found["prefetched"] == [0, 0]


def test_pages_are_printed_nevertheless(outcome: Callable[[str], Outcome]) -> None:
    pages = outcome("guarded").found["visited"]
    assert [page["url"] for page in pages if "printed" not in page["text"]] == []
    assert sum(page["network"]["refused"] for page in pages) > 400


def test_techniques_reach_public_targets(outcome: Callable[[str], Outcome]) -> None:
    """Blocked techniques, and those with which this Chromium sends no request, are excepted."""
    ways = {name: name.partition(" -> ")[0] for name in outcome("guarded").names(allowed=True, reached=False)}
    assert [name for name, way in ways.items() if way not in BLOCKED | INERT] == []


def test_unguarded_browser_reaches_private_targets(outcome: Callable[[str], Outcome]) -> None:
    unguarded = outcome("open")
    missed = [name for name in unguarded.names(allowed=False, reached=False) if name.partition(" -> ")[0] not in INERT]
    reached = len(unguarded.names(allowed=False, reached=True))
    print(f"unguarded: {reached} of {unguarded.count(allowed=False)} reached; not {missed}")
    assert reached >= 600
    assert unguarded.found["workers"] == [True, True]
    assert {name.partition(" -> ")[0] for name in missed} & BLOCKED == set()
    assert sum(SECRET in visit["text"] for visit in unguarded.found["schemes"]) >= 2


def test_proxy_that_resolves_names_twice_reaches_private_targets(outcome: Callable[[str], Outcome]) -> None:
    """This shows that the names change early enough to matter; the guarded browser does not reach the same names."""
    rebound = [name for name in outcome("naive").names(allowed=False, reached=True) if name.startswith("rebinding")]
    assert len(rebound) >= 10


def test_job_with_a_private_address_is_refused(outcome: Callable[[str], Outcome]) -> None:
    direct = outcome("guarded").found["direct"]
    assert len(direct) > 60
    assert [visit for visit in direct if visit["error"] is None] == []
    codes = {"blocked_target", "host_not_allowed", "invalid_url", "name_not_found", "unsupported_scheme"}
    assert [visit for visit in direct if visit["error"] not in codes] == []


def test_page_reads_no_other_scheme(outcome: Callable[[str], Outcome]) -> None:
    visits = outcome("guarded").found["schemes"]
    shown = [visit["url"] for visit in visits if SECRET in visit["text"] or "Chromium" in visit["text"]]
    # data: and javascript: URLs contain their text, and read nothing from the machine.
    assert [url for url in shown if not url.endswith(("/schemes", "/location/10", "/location/11"))] == []
    assert len(visits) > 40
