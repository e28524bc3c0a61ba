"""No job, mail or callback is lost or doubled under simulated faults, and the simulation finds known mistakes."""

from __future__ import annotations

import gc
import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation import history
from tests.simulation.__main__ import CHUNK, run_chunk
from tests.simulation.history import LARGE, SMALL, Result, Size
from tests.simulation.install import collecting, installed
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.test_traces import TRACES

pytestmark = pytest.mark.timeout(1800)  # for a busy machine

HISTORIES = 2_500
PARTS = 8
"""`make test` runs this number of parts of `HISTORIES` small histories each, on all cores."""
WITHIN = 20_000
"""The number of small histories within which each mutant must be found."""
QUICK = 500
"""The number of small histories within which `QUICKLY_FOUND` mutants must be found; `make test` runs these."""
FIRST_SEED = 1_000_000


@pytest.fixture(autouse=True)
def simulation() -> Iterator[None]:
    with installed():
        yield


def first_wrong(histories: int, first: int = FIRST_SEED, size: Size = SMALL) -> Result | None:
    with collecting():
        for seed in range(first, first + histories):
            result = history.run(seed, size)
            if result.violations:
                return result
            if seed % 500 == 0:
                gc.collect()
    return None


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_loses_or_doubles_anything(part: int) -> None:
    wrong = first_wrong(HISTORIES, part * HISTORIES)
    if wrong is not None:
        kind = wrong.violations[0].kind
        shortest = history.shrink(history.record(wrong.seed, SMALL), kind)
        pytest.fail(f"seed {wrong.seed}: {kind}\n{history.story(shortest)}")


@pytest.mark.parametrize(("size", "histories", "full"), [(LARGE, 300, 225), (SMALL, 600, 250)], ids=["large", "small"])
def test_sample_of_histories_reaches_every_outcome(size: Size, histories: int, full: int) -> None:
    counts = sum((history.run(seed, size).counts for seed in range(histories)), start=Counter[str]())
    assert min(counts[name] for name in ("accepted", "done", "failed", "gone", "faults", "ambiguous")) > 5
    assert counts["accepted"] == counts["done"] + counts["failed"] + counts["gone"]
    assert counts["requests"] >= size.requests * histories * (1 - size.focused)
    assert counts["calls"] >= size.faults * counts["full"]
    assert counts["full"] > full


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["large", "small"])
def test_seed_always_gives_the_same_history(size: Size) -> None:
    for seed in range(20):
        recorded = history.record(seed, size)
        first, second = (recorded.run(tracing=True)[1].kernel.trace for _ in range(2))
        assert first == second
        assert history.run(seed, size).counts["steps"] == recorded.run()[1].kernel.steps


QUICKLY_FOUND = {
    mutant.name: mutant
    for mutant in MUTANTS
    if mutant.name
    in (
        "the message is never parked",
        "the message is acknowledged although it was not parked",
        "settle accepts the answer of an older claim",
        "an end is recorded as announced before it is announced",
        "a job is taken over before its end is announced",
        "done is written before the PDF is published",
        "a deleted job keeps its subscriptions",
        "an event that comes again is sent again",
        "a job whose message the broker gave up is left open",
        "the message is parked and postponed",
        "the end is announced before it is written",
        "an end that is not announced is dropped",
        "render uploads to the published key",
        "records are written without a condition",
        "202 without a confirmed publish",
        "409 counts as success",
        "a request subscribes after it has read the record",
        "a hit does not serve its subscriptions",
        "a consumer marks before it sends",
        "a consumer does not claim",
    )
}


@pytest.mark.parametrize("mutant", QUICKLY_FOUND.values(), ids=list(QUICKLY_FOUND))
def test_gross_mistake_is_found_quickly(mutant: Mutant) -> None:
    with mutant.applied():
        assert first_wrong(QUICK) is not None


def test_seed_of_wrong_history_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with QUICKLY_FOUND["the message is parked and postponed"].applied():
        counts, wrong = run_chunk(FIRST_SEED)
    assert counts["histories"] == CHUNK
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(wrong) > 0
    assert f"WRONG: seed {wrong[0][0]}: multiplied" in printed[0]


BY_TRACE = {
    "409 to a delete counts as another object",
    "a PDF that the delete of an equal one removed is not restored",
    "the last message of a job does not restore its PDF",
    "a PDF is restored from any upload",
    "a delete does not restore the PDF of a later request",
    "the PDF of a generation that was taken over stays",
}
"""Mistakes that random histories meet too rarely; each has a trace in `test_traces`."""
BY_CHANCE = [mutant for mutant in MUTANTS if mutant.name not in BY_TRACE]


def test_rare_mistakes_have_a_trace() -> None:
    assert {mistake for mistake, _ in TRACES.values()} >= BY_TRACE


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mutant", BY_CHANCE, ids=[mutant.name for mutant in BY_CHANCE])
def test_known_mistake_is_found(mutant: Mutant) -> None:
    with mutant.applied():
        assert first_wrong(WITHIN) is not None


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_known_mistake_fits_the_source(mutant: Mutant) -> None:
    with mutant.applied():
        pass


def test_failed_history_is_shrunk_to_a_few_decisions() -> None:
    mutant = QUICKLY_FOUND["the end is announced before it is written"]
    with mutant.applied():
        wrong = first_wrong(QUICK, size=LARGE)
        assert wrong is not None
        kind = wrong.violations[0].kind
        long = history.record(wrong.seed)
        short = history.shrink(long, kind)
        text = history.story(short)
    assert len(short.operations) <= 6 < len(long.operations)
    assert len(short.decisions) <= 12 < len(long.decisions)
    assert any(kind in line for line in itertools.islice(reversed(text.splitlines()), 3))
    assert not [one for one in short.run()[0] if one.kind == kind]
