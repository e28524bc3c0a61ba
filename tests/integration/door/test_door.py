"""Hundreds of attempts through the real browser and the real proxy, against listeners that must never be reached.

They run in a network namespace of their own, so that nothing leaves the machine even if a door is open; and once more
with an unguarded browser, which must reach what the guarded one must not, so that these tests can fail.
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

from .attempts import ASLEEP, SHUT
from .network import unavailable
from .runner import SECRET

ROOT = Path(__file__).parents[3]
SECONDS = 500

pytestmark = pytest.mark.timeout(SECONDS + 10)


class Outcome:
    """What one browser did."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.attempts = [tuple(attempt) for attempt in found["attempts"]]

    def names(self, *, allowed: bool, reached: bool) -> list[str]:
        return [f"{w} -> {h}:{p}" for w, h, p, may, did in self.attempts if may == allowed and did == reached]

    def count(self, *, allowed: bool) -> int:
        return sum(may == allowed for *_, may, _ in self.attempts)


@pytest.fixture(scope="module")
def outcome() -> Callable[[str], Outcome]:
    """The three browsers' outcomes, by mode; they run side by side."""
    if reason := unavailable():
        pytest.skip(f"the door is not tested here: {reason}")
    layer = Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", ROOT / ".urlshot" / "layers" / "ChromiumLayer"))
    if not (layer / "chromium" / "manifest.json").is_file():
        pytest.fail(f"there is no Chromium layer at {layer}; build it with `make layers`")

    def run(mode: str) -> Outcome:
        paths = [ROOT, ROOT / "layers" / "shared", ROOT / "layers" / "chromium"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, "-m", "tests.integration.door.runner", mode, str(layer)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Outcome(json.loads(done.stdout))

    pool = ThreadPoolExecutor()
    running: dict[str, Future[Outcome]] = {mode: pool.submit(run, mode) for mode in ("guarded", "open", "naive")}
    return lambda mode: running[mode].result()


def test_nothing_private_is_reached(outcome: Callable[[str], Outcome]) -> None:
    guarded = outcome("guarded")
    print(f"{guarded.count(allowed=False)} attempts at what is private, on {len(guarded.found['visited'])} pages")
    assert guarded.count(allowed=False) >= 600
    assert guarded.names(allowed=False, reached=True) == []
    assert guarded.found["breaches"] == []
    assert guarded.found["datagrams"] == []
    assert guarded.found["workers"] == [False, False]
    assert guarded.found["prefetched"] == [0, 0]


def test_the_pages_were_printed_nonetheless(outcome: Callable[[str], Outcome]) -> None:
    pages = outcome("guarded").found["visited"]
    assert [page["url"] for page in pages if "printed" not in page["text"]] == []
    assert sum(page["network"]["refused"] for page in pages) > 400


def test_every_way_reaches_its_public_neighbour(outcome: Callable[[str], Outcome]) -> None:
    """Except those that are shut, which do not go through a proxy, and those that this Chromium does not take."""
    ways = {name: name.partition(" -> ")[0] for name in outcome("guarded").names(allowed=True, reached=False)}
    assert [name for name, way in ways.items() if way not in SHUT | ASLEEP] == []


def test_an_unguarded_browser_reaches_what_the_guarded_one_must_not(outcome: Callable[[str], Outcome]) -> None:
    unguarded = outcome("open")
    missed = [name for name in unguarded.names(allowed=False, reached=False) if name.partition(" -> ")[0] not in ASLEEP]
    reached = len(unguarded.names(allowed=False, reached=True))
    print(f"unguarded: {reached} of {unguarded.count(allowed=False)} reached; not {missed}")
    assert reached >= 600
    assert unguarded.found["workers"] == [True, True]
    assert {name.partition(" -> ")[0] for name in missed} & SHUT == set()
    assert sum(SECRET in visit["text"] for visit in unguarded.found["schemes"]) >= 2


def test_a_proxy_that_looks_names_up_twice_would_be_fooled(outcome: Callable[[str], Outcome]) -> None:
    """That the names are rebound fast enough to matter: the guarded browser stayed away from the very same ones."""
    rebound = [name for name in outcome("naive").names(allowed=False, reached=True) if name.startswith("rebinding")]
    assert len(rebound) >= 10


def test_no_private_address_is_a_job(outcome: Callable[[str], Outcome]) -> None:
    direct = outcome("guarded").found["direct"]
    assert len(direct) > 60
    assert [visit for visit in direct if visit["error"] is None] == []
    odd = {"blocked_target", "host_not_allowed", "invalid_url", "name_not_found", "unsupported_scheme"}
    assert [visit for visit in direct if visit["error"] not in odd] == []


def test_no_other_scheme_is_read(outcome: Callable[[str], Outcome]) -> None:
    visits = outcome("guarded").found["schemes"]
    shown = [visit["url"] for visit in visits if SECRET in visit["text"] or "Chromium" in visit["text"]]
    # data: and javascript: bring their own text and read nothing of the machine.
    assert [url for url in shown if not url.endswith(("/schemes", "/location/10", "/location/11"))] == []
    assert len(visits) > 40
