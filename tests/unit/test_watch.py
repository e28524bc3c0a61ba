"""`watch` finds a lower bound of the age of the oldest waiting message, and the kinds of queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.watch.age import MOST, History, Mark, oldest
from functions.watch.queues import Queue, kind
from urlshot.core.messages import DEAD, QUEUE, QUEUE_BULK, delay_queue


def queue(ready: int, gone: int, unacked: int = 0) -> Queue:
    return Queue("generate_shot", ready=ready, unacked=unacked, gone=gone)


STEPS = st.tuples(st.sampled_from(["arrive", "take", "done", "return", "look"]), st.integers(0, 100))


@given(st.lists(STEPS, max_size=60))
def test_bound_is_below_the_true_age_by_at_most_one_look(steps: list[tuple[str, int]]) -> None:
    """Quorum queues put returned messages at the head. After a return, the bound may be lower still."""
    now, gone, blurred = 0.0, 0, False
    waiting: list[float] = []  # the times of arrival
    held: list[float] = []
    history: History | None = None
    for what, seconds in steps:
        now += seconds
        if what == "arrive":
            waiting.append(now)
        elif what == "take" and waiting:
            held.append(waiting.pop(0))
        elif what == "done" and held:
            held.pop(0)
            gone += 1
        elif what == "return" and held:
            waiting.insert(0, held.pop())
            blurred = True
        elif what == "look":
            age, history = oldest(queue(len(waiting), gone, len(held)), history, now)
            truth = now - min(waiting) if waiting else 0.0
            assert 0 <= age <= truth
            assert blurred or age >= truth - _longest_gap(steps)


def _longest_gap(steps: list[tuple[str, int]]) -> float:
    """Returns the longest time without a look, in seconds."""
    longest, gap = 0.0, 0.0
    for what, seconds in steps:
        gap += seconds
        if what == "look":
            longest, gap = max(longest, gap), 0.0
    return max(longest, gap)


def test_age_of_a_moving_queue_is_that_of_its_head() -> None:
    history: History | None = None
    for minute in range(10):  # ten messages a minute arrive, ten a minute leave, and a hundred always wait
        age, history = oldest(queue(ready=100, gone=10 * minute), history, 60.0 * minute)
    assert age == 540  # the first hundred have not all left yet
    for minute in range(10, 30):
        age, history = oldest(queue(ready=100, gone=10 * minute), history, 60.0 * minute)
    assert age == 540  # a hundred wait and ten a minute leave: ten minutes, less one look


def test_queue_that_stands_still_gets_older_with_every_look() -> None:
    history: History | None = None
    ages = []
    for minute in range(4):
        age, history = oldest(queue(ready=3 + minute, gone=5), history, 60.0 * minute)
        ages.append(age)
    assert ages == [0, 60, 120, 180]


def test_empty_queue_has_no_age_and_leaves_no_mark() -> None:
    _, history = oldest(queue(ready=4, gone=0), None, 0.0)
    assert oldest(queue(ready=0, gone=4), history, 60.0) == (0.0, History(gone=4, marks=[]))


def test_history_starts_again_when_the_broker_resets_its_counters() -> None:
    _, history = oldest(queue(ready=4, gone=1000), None, 0.0)
    assert oldest(queue(ready=4, gone=0), history, 60.0) == (0.0, History(gone=0, marks=[Mark(60.0, 4)]))


def test_history_is_bounded_and_keeps_the_oldest_mark() -> None:
    history: History | None = None
    for minute in range(MOST + 5):
        age, history = oldest(queue(ready=1 + minute, gone=0), history, 60.0 * minute)
    assert history is not None
    assert len(history.marks) <= MOST
    assert age == 60.0 * (MOST + 4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (QUEUE, "work"),
        (QUEUE_BULK, "work"),
        (delay_queue(QUEUE, 5), "retry"),
        (delay_queue(QUEUE_BULK, 120), "retry"),
        (delay_queue(QUEUE, 195), "parked"),
        (delay_queue(QUEUE_BULK, 195), "parked"),
        (DEAD, "dead"),
        ("generate_shot_mail", "other"),
        ("my_generate_shot", "other"),
        ("generate_shot_bulky", "other"),
        ("generate_shot_retry_", "other"),
        ("generate_shot_bulk_retry_5s_more", "other"),
    ],
)
def test_kind_of_a_queue_follows_from_its_name(name: str, expected: str) -> None:
    assert kind(name, 195) == expected
