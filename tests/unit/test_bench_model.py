"""The queueing model: exact small cases, Erlang's formula, and what must hold for every queue."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.model import (
    Pages,
    System,
    arrivals,
    erlang_c,
    least_slots,
    percentile,
    simulated_waits,
    utilisation,
    waits,
)

TIMES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 50)), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("system", "requested", "seconds", "expected"),
    [
        (System(1), [0, 0, 0], [2, 3, 4], [0, 2, 5]),
        (System(2), [0, 0, 0], [2, 3, 4], [0, 0, 2]),
        (System(2), [0, 1, 5], [2, 2, 2], [0, 0, 0]),
        (System(1, around=1), [0, 0], [2, 2], [0, 3]),
        (System(1, between=0.5), [0, 0], [2, 2], [0, 2.5]),
        (System(1, between=0.5), [0, 9], [2, 2], [0, 0]),
        (System(9, delivery=0.1), [0, 1], [2, 2], [0.1, 0.1]),
        (System(9, hand_over=0.2), [0, 0, 0], [1, 1, 1], [0, 0.2, 0.4]),
    ],
)
def test_waits_of_small_queues(
    system: System, requested: list[float], seconds: list[float], expected: list[float]
) -> None:
    assert waits(system, requested, seconds) == pytest.approx(expected)


@given(TIMES, st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_more_slots_never_make_a_job_wait_longer(
    jobs: list[tuple[float, float]], slots: int, hand_over: float, between: float
) -> None:
    requested, seconds = sorted(at for at, _ in jobs), [took for _, took in jobs]
    few = waits(System(slots, hand_over, between=between), requested, seconds)
    many = waits(System(slots + 1, hand_over, between=between), requested, seconds)
    assert max(few) + 1e-9 >= max(many)


@given(TIMES, st.integers(1, 8))
def test_jobs_start_in_order_and_never_in_more_than_all_slots(jobs: list[tuple[float, float]], slots: int) -> None:
    requested, seconds = sorted(at for at, _ in jobs), [took for _, took in jobs]
    starts = [at + wait for at, wait in zip(requested, waits(System(slots), requested, seconds), strict=True)]
    assert starts == sorted(starts)
    ends = [start + took for start, took in zip(starts, seconds, strict=True)]
    for start in starts:
        running = sum(begun <= start + 1e-9 and end > start + 1e-9 for begun, end in zip(starts, ends, strict=True))
        assert running <= slots


@given(TIMES, st.floats(0.01, 5))
def test_mapping_hands_over_one_job_after_another(jobs: list[tuple[float, float]], hand_over: float) -> None:
    requested, seconds = sorted(at for at, _ in jobs), [took for _, took in jobs]
    found = waits(System(len(jobs), hand_over), requested, seconds)
    starts = [at + wait for at, wait in zip(requested, found, strict=True)]
    assert all(later - earlier >= hand_over - 1e-9 for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize(
    ("slots", "load", "expected"), [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (10, 8.0, 0.4092), (4, 4.0, 1)]
)
def test_erlang_c_has_the_values_of_the_tables(slots: int, load: float, expected: float) -> None:
    assert erlang_c(slots, load) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("slots", "load"), [(1, 0.7), (4, 3.0), (16, 13.0)])
def test_simulated_queue_agrees_with_erlang_c(slots: int, load: float) -> None:
    chance = random.Random(3)
    count = 200_000
    seconds = [chance.expovariate(1.0) for _ in range(count)]
    found = waits(System(slots), arrivals(load, count, chance), seconds)
    assert sum(wait > 0 for wait in found) / count == pytest.approx(erlang_c(slots, load), rel=0.05)
    assert statistics.fmean(found) == pytest.approx(erlang_c(slots, load) / (slots - load), rel=0.1)


def test_mean_of_pages_counts_slow_ones_by_their_share() -> None:
    pages = Pages((1.0, 3.0), slow_share=0.1, slow_seconds=30.0)
    assert pages.mean == pytest.approx(0.9 * 2 + 0.1 * 30)
    chance = random.Random(5)
    assert statistics.fmean(pages.draw(chance) for _ in range(50_000)) == pytest.approx(pages.mean, rel=0.05)
    assert utilisation(System(10, around=0.2), pages, 1.0) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_percentile_has_its_share_of_the_values_below_it(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(one <= found for one in values) >= share * len(values) - 1e-9


@pytest.mark.parametrize("share", [0.0, 0.05])
@pytest.mark.parametrize("most_used", [0.5, 0.99])
def test_least_slots_are_enough_and_one_less_are_not(share: float, most_used: float) -> None:
    pages, rate = Pages((0.3, 0.5), share), 6.0

    def enough(slots: int) -> bool:
        found = percentile(simulated_waits(System(slots), pages, rate, 4000), 0.95)
        return found <= 1.0 and utilisation(System(slots), pages, rate) <= most_used

    slots = least_slots(System(1), pages, rate, 1.0, most_used, 4000)
    assert enough(slots)
    assert not enough(slots - 1)
