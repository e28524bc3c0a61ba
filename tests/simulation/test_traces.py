"""Histories that once failed: each passes now, and fails again with the mistake that caused it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.simulation.history import History
from tests.simulation.install import installed
from tests.simulation.mutants import MUTANTS
from tests.simulation.outside import MAILS
from tests.simulation.setting import Operation, Setting

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
DIES, DIES_AFTER, CONFLICT = 1, 2, 7
"""Indices into the faults of a conditional write, from 1 on (tests/simulation/s3.py)."""
REFUSED = 3
"""Index into the faults of a publish (tests/simulation/broker.py)."""
TWICE, FAILED_FOR_GOOD = 3, 2
"""Indices into the outcomes of Lambda and `render`, from 0 on (tests/simulation/lambdas.py)."""
THROTTLED = 3
"""Index into the faults of SES, from 1 on (tests/simulation/outside.py)."""
LATE, TWICE_AND_LATE = 2, 3
"""Indices into the deliveries of an event, from 0 on (tests/simulation/events.py)."""
ONCE = Setting(renders=1, max_attempts=1, heal_at=400.0)

UNENDED = {"settle 1/fault/3": DIES_AFTER, "settle 2/fault/0": DIES, "settle 3/fault/0": DIES}
"""All three attempts of settle die: the first after the copy, the others before they read the record."""
EQUAL = Setting(renders=1, max_attempts=3, same_bytes=True, heal_at=400.0)
LATE_STRAY = {
    "settle 1/fault/3": DIES_AFTER,
    "settle 1/latency/3": 20_000,
    "settle 2/latency/0": 20_000,
    "settle 2/fault/0": DIES,
    "render 2/took/latency/0": 25_500,
}
"""`settle` dies twice and is called a third time when the next claim is rendered, to delete the PDF of the first."""


def request(at: float, *tell: str) -> Operation:
    return Operation(at, "request", max_age=0, tell=tell)


def delete(at: float) -> Operation:
    return Operation(at, "delete")


ONCE_LATER = Setting(renders=1, heal_at=5000.0)
TAKEOVER = (
    request(0.0),
    Operation(0.01, "down", seconds=4500),
    Operation(1.0, "jump", seconds=3700),
    request(2.0),
)
"""A job waits in its queue for more than an hour, and another request takes it over."""

TRACES = {
    "settle dies after it published the PDF, and the job fails": (
        "the PDF of a failed job stays",
        History(ONCE, (request(0.0),), UNENDED),
    ),
    "settle freezes, the job is deleted and asked for again": (
        "the copy replaces any published PDF",
        History(ONCE, (request(0.0), delete(4.0), request(5.0)), {"settle 1/latency/3": 38_000}),
    ),
    "two runs of one event, both settled at the same time": (
        "a second run of a claim replaces the first one's PDF",
        History(
            ONCE,
            (request(0.0),),
            {"render 1/start/0": TWICE, "settle 1/latency/4": 1500, "settle 2/latency/3": 1000},
        ),
    ),
    "two runs of one event, one done and one failed": (
        "the PDF of a job that failed meanwhile stays",
        History(
            ONCE,
            (request(0.0),),
            {"render 1/start/0": TWICE, "render 1b/outcome/0": FAILED_FOR_GOOD, "settle 1/latency/3": 1273},
        ),
    ),
    "an end waits for its announcement for minutes": (
        "an end that is not announced is taken over after a minute",
        History(
            replace(ONCE, heal_at=1000.0),
            (request(0.0), Operation(10.0, "jump", seconds=500), request(11.0)),
            {"settle 1/fault/4": DIES_AFTER, "settle 2/fault/0": DIES, "mapping generate_shot/latency/1": 5000},
        ),
    ),
    "a delete freezes while another deletes, and the job is asked for again": (
        "a delete removes any PDF",
        History(ONCE, (request(0.0), delete(10.0), delete(12.0), request(14.0)), {"delete 2/latency/3": 20_000}),
    ),
    "the delete of a failed job's PDF meets 409": (
        "409 to a delete counts as another object",
        History(ONCE, (request(0.0),), {**UNENDED, "dispatch normal 2/fault/3": CONFLICT}),
    ),
    "a request takes over a job that waits, and dies before it publishes": (
        "the last message of a job is dropped while the job is taken over",
        History(ONCE_LATER, TAKEOVER, {"request 4/fault/3": DIES}),
    ),
    "a request takes over a job that waits, and the broker refuses its message": (
        "a failed publish ends the job that it took over",
        History(ONCE_LATER, TAKEOVER, {"request 4/fault/3": REFUSED}),
    ),
    "a subscription that was answered is left, and the address asks for the next render too": (
        "an event that others have answered in part is not sent",
        History(ONCE, (request(0.0, MAILS[0]), request(10.0, MAILS[0])), {"mail 1/fault/7": DIES}),
    ),
    "the write of an end takes long, and a request joins the job meanwhile": (
        "an end answers subscriptions from before it finished",
        History(ONCE, (request(0.0), request(36.0, MAILS[0])), {"settle 1/latency/4": 37_000}),
    ),
    "an event comes again while its subscriber waits for the next render": (
        "an event that comes again answers other subscriptions",
        History(
            ONCE,
            (request(0.0, MAILS[0]), request(1.9, MAILS[0])),
            {"event 1 to mail/0": TWICE_AND_LATE, "event 1 to mail/late/0": 20, "render 2/took/latency/0": 55_500},
        ),
    ),
    "a subscription of a deleted job waits for its mail, and the address asks again": (
        "a withdrawn subscription is answered",
        History(
            ONCE,
            (request(0.0, MAILS[0]), request(1.9, MAILS[0]), delete(10.0)),
            {
                "mail 1/fault/5": THROTTLED,
                "request 2/latency/0": 12_000,
                "event 2 to mail/0": LATE,
                "event 2 to mail/late/0": 200,
            },
        ),
    ),
    "a slow delete takes the equal PDF of the next claim": (
        "a PDF that the delete of an equal one removed is not restored",
        History(EQUAL, (request(0.0),), {**LATE_STRAY, "settle 3/latency/4": 8000}),
    ),
    "a slow delete takes the equal PDF of a request that came meanwhile, after the last message of its job": (
        "a delete does not restore the PDF of a later request",
        History(
            EQUAL,
            (request(0.0), delete(200.0), request(201.0)),
            {"delete 2/latency/2": 5000, "dispatch normal 3/latency/4": 500, "dispatch normal 3/fault/4": DIES},
        ),
    ),
    "settle dies after it published the PDF, the job is taken over, and fails": (
        "the PDF of a generation that was taken over stays",
        History(
            replace(ONCE, batch=1, deliveries=1),
            (Operation(0.0, "request", max_age=0, priority="bulk"), request(314.9)),
            {
                "settle 1/fault/4": DIES,
                "settle 2/fault/0": DIES,
                "settle 3/latency/4": 57_300,
                "request 2/fault/4": DIES,
                "dispatch normal 1/fault/1": DIES,
                "dispatch normal 2/fault/1": DIES,
            },
        ),
    ),
    "a slow delete takes an equal PDF, and a second run has replaced its upload": (
        "a PDF is restored from any upload",
        History(
            EQUAL,
            (request(0.0),),
            {
                **LATE_STRAY,
                "settle 3/latency/4": 8000,
                "render 2/start/0": TWICE,
                "render 2b/took/latency/0": 28_000,
                "render 2b/changed/0": 1,
            },
        ),
    ),
    "a slow delete takes the equal PDF of the next claim before its end, and its function dies": (
        "the last message of a job does not restore its PDF",
        History(EQUAL, (request(0.0),), {**LATE_STRAY, "settle 3/latency/4": 520, "settle 3/fault/4": DIES_AFTER}),
    ),
    "a slow delete takes the equal PDF of the next claim after its end, and its function dies": (
        "the last message of a job does not restore its PDF",
        History(EQUAL, (request(0.0),), {**LATE_STRAY, "settle 3/latency/4": 8000, "settle 3/fault/4": DIES_AFTER}),
    ),
}


@pytest.fixture(autouse=True)
def simulation() -> Iterator[None]:
    with installed():
        yield


@pytest.mark.parametrize(("mistake", "trace"), TRACES.values(), ids=list(TRACES))
def test_known_trace_passes_and_fails_with_its_mistake(mistake: str, trace: History) -> None:
    violations, world = trace.run()
    assert not violations
    with BY_NAME[mistake].applied():
        violations, other = trace.run()
    assert violations
    used = world.decisions.made | other.decisions.made
    assert used == trace.decisions, "the product's steps have changed, so the trace tests nothing"


def test_equal_pdf_is_restored_if_the_last_message_announces() -> None:
    """A slow delete takes the equal PDF of the next claim before its end, and `settle` dies before the announcement."""
    faults = {"settle 4/latency/4": 100, "settle 4/fault/5": DIES, "settle 5/fault/0": DIES}
    violations, _ = History(EQUAL, (request(0.0),), {**LATE_STRAY, "settle 3/latency/4": 520, **faults}).run()
    assert not violations
