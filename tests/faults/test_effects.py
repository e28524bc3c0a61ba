"""A mail or callback that came twice is excused only by a fault that could hide its answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.faults.armory import Hurt, Injected
from tests.faults.effects import Post, check_callbacks, check_mails
from tests.faults.project import CALLBACK_TIMEOUT

JOB, OTHER = "a" * 40, "b" * 40
AT = 1_000_000.0
PID = 77


def posts(*answered: int) -> list[Post]:
    """Returns posts of one callback, ten seconds apart, with the statuses of their answers; 0 for none."""
    return [Post(AT + 10 * n, "/p", "w", status, JOB, PID) for n, status in enumerate(answered)]


def fault(at: float, place: str, fault: str = "500", job: str = JOB, stage: str = "") -> Injected:
    return Injected(at, stage or place, fault, "", place, job)


@pytest.mark.parametrize("answered", [(204,), (500, 204), (500, 500, 204)])
def test_callback_that_is_repeated_after_an_error_is_no_violation(answered: tuple[int, ...]) -> None:
    assert check_callbacks(posts(*answered), [], []) == ([], 0)


def test_callback_without_an_answer_may_come_again() -> None:
    assert check_callbacks(posts(0, 0, 204), [], []) == ([], 2)


@pytest.mark.parametrize(
    ("faults", "hurt", "excused"),
    [
        ([], [], False),
        ([fault(AT + 5, "callback.noted")], [], True),
        ([fault(AT + 5, "callback.noted", stage="aws")], [], True),
        ([fault(AT + 5, "callback.noted", job=OTHER)], [], False),
        ([fault(AT + 15, "callback.noted")], [], False),
        ([fault(AT - CALLBACK_TIMEOUT - 1, "callback.noted")], [], False),
        ([fault(AT + 5, "callback.claimed")], [], False),
        ([fault(AT + 5, "secret")], [], False),
        ([fault(AT + 5, "mail.noted")], [], False),
        ([], [Hurt(AT + 1, PID)], True),
        ([], [Hurt(AT + 1, PID + 1)], False),
        ([], [Hurt(AT + 15, PID)], False),
    ],
)
def test_callback_that_was_answered_needs_a_fault_to_come_again(
    faults: list[Injected], hurt: list[Hurt], excused: bool
) -> None:
    violations, ambiguous = check_callbacks(posts(204, 204), faults, hurt)
    assert [one.kind for one in violations] == ([] if excused else ["doubled callback"])
    assert ambiguous == excused


@pytest.mark.parametrize(("hurt", "excused"), [(AT - 0.5, True), (AT + 0.5, True), (AT - 2, False), (AT + 2, False)])
def test_process_that_was_killed_before_its_look_up_excuses(hurt: float, excused: bool) -> None:
    first, second = (replace(post, pid=None) for post in posts(204, 204))
    violations, ambiguous = check_callbacks([first, second], [], [Hurt(hurt, PID)])
    assert (len(violations), ambiguous) == (not excused, excused)


def mails(count: int) -> list[tuple[float, str]]:
    return [(AT + 10 * n, f"Page:  http://page/\nJob:   http://api/pdf/{JOB}") for n in range(count)]


def test_each_event_of_a_job_may_be_mailed_once() -> None:
    assert check_mails(mails(1), Counter({JOB: 1}), []) == ([], 0)
    assert check_mails(mails(2), Counter({JOB: 2}), []) == ([], 0)
    assert [one.kind for one in check_mails(mails(1), Counter(), [])[0]] == ["doubled mail"]


@pytest.mark.parametrize(
    ("faults", "excused"),
    [
        ([], 0),
        ([fault(AT + 1, "mail", "cut after")], 1),
        ([fault(AT - 7, "mail", "late")], 1),
        ([fault(AT + 1, "mail", "killed after", stage="aws")], 1),
        ([fault(AT + 1, "mail.noted", "500")], 1),
        ([fault(AT + 1, "mail", "cut after"), fault(AT + 12, "mail.noted")], 2),
        ([fault(AT + 1, "mail", "500")], 0),
        ([fault(AT + 1, "mail", "cut before")], 0),
        ([fault(AT + 1, "mail", "killed before")], 0),
        ([fault(AT + 1, "mail", "cut after", OTHER)], 0),
        ([fault(AT + 99, "mail", "cut after")], 0),
        ([fault(AT + 1, "callback.noted")], 0),
    ],
)
def test_each_fault_that_hides_a_mail_excuses_one(faults: list[Injected], excused: int) -> None:
    violations, ambiguous = check_mails(mails(3), Counter({JOB: 1}), faults)
    assert ambiguous == excused
    assert [one.kind for one in violations] == ([] if excused == 2 else ["doubled mail"])
