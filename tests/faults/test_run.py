"""A short run of `make faults`: few faults of each kind, in the whole local stack."""

from __future__ import annotations

import pytest

from tests.faults.__main__ import run
from tests.faults.armory import BURST, ONCE
from tests.faults.cases import Case

CASES = [
    Case("created", "cut after", "single", ONCE),
    Case("claimed", "killed after", "single", ONCE),
    Case("bus", "not accepted", "callback", ONCE),
    Case("completion", "cut before", "bare", ONCE),
    Case("broker", "cut all", "bulk", BURST),
    Case("freed", "500", "private", BURST),
    Case("page", "browser killed", "real", ONCE),
    Case("page", "disk full", "real", ONCE),
    Case("mail", "cut after", "single", ONCE),
    Case("callback.noted", "killed before", "callback", ONCE),
    Case("message", "poison", "single", ONCE),
    Case("message", "ten times", "single", ONCE),
    Case("delivered", "cut after", "bulk", ONCE),
]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_few_faults_lose_and_double_nothing() -> None:
    assert run(seed=1, seconds=40, cases=list(CASES), jobs=0) == 0
