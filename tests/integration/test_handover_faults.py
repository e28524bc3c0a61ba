"""Kills dispatch and settle before and after every step; the job still ends and is announced.

RabbitMQ is real; moto provides S3 and EventBridge. The tests stand in for Lambda between the two functions, and set
the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from functions.dispatch.batch import Delivery
from tests.integration.conftest import LEASE, Broker
from tests.integration.workbench import ID, Bench, Wrap, killed, never_started
from urlshot.adapters.store import Store
from urlshot.core.errors import UrlshotError
from urlshot.core.messages import DEAD
from urlshot.core.render_contract import RenderJob, Report

LEASED = timedelta(seconds=LEASE)
ROUNDS = 30
"""Rounds of deliveries after which a test fails; no job here needs as many."""


class Killed(BaseException):
    """Stands for the end of the process; it is no Exception, so that the code under test does not handle it."""


class Fuse:
    """Kills the function at the external call that follows `steps` others: before the call, or after it, unanswered."""

    def __init__(self, steps: int, *, after: bool) -> None:
        self.left = steps
        self._after = after
        self._lock = threading.Lock()

    def wrap(self, part: Any) -> Any:
        fuse = self

        class Wired:
            def __getattr__(self, name: str) -> Any:
                found = getattr(part, name)
                if not callable(found) or name.startswith("_"):
                    return found

                def call(*args: Any, **more: Any) -> Any:
                    with fuse._lock:
                        fuse.left -= 1
                        left = fuse.left
                    if left < 0 and not fuse._after:
                        raise Killed
                    answer = found(*args, **more)
                    if left < 0:
                        raise Killed
                    return answer

                return call

        return Wired()


class Deletion:
    """Deletes the job immediately before the external call that follows `steps` others."""

    def __init__(self, bench: Bench, steps: int) -> None:
        self.done = False
        self._bench = bench
        self._left = steps
        self._lock = threading.Lock()

    def wrap(self, part: Any) -> Any:
        deletion = self

        class Wired:
            def __getattr__(self, name: str) -> Any:
                found = getattr(part, name)
                return deletion._before(found) if callable(found) and not name.startswith("_") else found

        return Wired()

    def _before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            with self._lock:
                self._left -= 1
                due = self._left == -1
            if due:
                self._bench.delete()
                self.done = True
            return function(*args, **more)

        return call


class History:
    """Runs one job from its message to its end, in Lambda's place; at most one function is killed."""

    def __init__(self, bench: Bench, rendered: Callable[[RenderJob], dict[str, Any]]) -> None:
        self._bench = bench
        self._rendered = rendered

    def play(self, *, dispatch: Wrap | None = None, settle: Wrap | None = None, settle_again: bool = True) -> bool:
        """Runs the job to its end, and returns whether a function was killed.

        Args:
            dispatch: Wraps the parts of the first dispatch, for example with a `Fuse`.
            settle: Wraps the parts of the first settle.
            settle_again: Whether Lambda invokes a killed settle again. If not, only the parked message is left.
        """
        bench, killed_one = self._bench, False
        waiting = [bench.queue_job()]
        for _ in range(ROUNDS):
            if not waiting:
                return killed_one
            delivery = waiting.pop(0)
            try:
                bench.dispatch(delivery, wrap=dispatch or (lambda part: part))
            except Killed:
                killed_one = True
                waiting.append(Delivery(delivery.queue, delivery.body, redelivered=True))
            dispatch = None
            while bench.jobs:
                event = self._rendered(bench.jobs.pop(0))
                try:
                    bench.settle(event, settle or (lambda part: part))
                except Killed:
                    killed_one = True
                    if settle_again:
                        bench.settle(event)
                settle = None
            waiting += bench.waiting()
            bench.pass_lease()
        pytest.fail(f"messages are still waiting after {ROUNDS} rounds")

    def check(self, state: str) -> int:
        """Checks that the job ended in `state` and left nothing, and returns how many times its end was announced."""
        bench, record = self._bench, self._bench.record()
        assert (record.state, record.announced) == (state, True)
        keys = [event["detail"]["event_key"] for event in bench.events()]
        assert set(keys) == {f"{ID}:{record.generation}:{state}"}
        assert {one["event_key"] for one in bench.completions()} == set(keys)
        assert (bench.pdf() is not None) == (state == "done")
        assert bench.slots_free() == bench.renders
        assert bench.waiting() == []
        bench.broker.take(DEAD)
        return len(keys)


@pytest.fixture
def bench(store: Store, broker: Broker) -> Bench:
    return Bench(store, broker)


def fresh(bench: Bench) -> None:
    for item in bench.s3.list_objects_v2(Bucket=bench.store.bucket).get("Contents", []):
        bench.s3.delete_object(Bucket=bench.store.bucket, Key=item["Key"])


def outcomes(bench: Bench, report: Report) -> dict[str, tuple[Callable[[RenderJob], dict[str, Any]], str]]:
    """Returns what render does with each job, and the state in which the job ends, by the name of the outcome."""
    first = iter([True])
    return {
        "report": (lambda job: bench.rendered(job, report), "done"),
        "page_status": (lambda job: bench.rendered(job, UrlshotError("page_status")), "failed"),
        "killed": (killed, "failed"),
        "never started once": (
            lambda job: never_started(job) if next(first, False) else bench.rendered(job, report),
            "done",
        ),
    }


def killed_at_every_step(play: Callable[[Fuse], tuple[bool, int]]) -> set[int]:
    """Plays one history for each kill, and returns how many times the ends were announced.

    A function that is killed after a call leaves the same state as one that is killed before its next call, so only
    the last call needs a kill after it.

    Args:
        play: Plays a history with a fuse; returns whether the function was killed, and how many times its end was
            announced.
    """
    announced = set()
    for steps in range(30):
        was_killed, times = play(Fuse(steps, after=False))
        announced.add(times)
        if not was_killed:
            break
    else:
        pytest.fail("the function was killed in every run, so it makes more calls than were tried")
    was_killed, times = play(Fuse(steps - 1, after=True))
    assert was_killed
    return announced | {times}


@pytest.mark.parametrize("outcome", ["report", "page_status"])
def test_dispatch_killed_at_every_step(bench: Bench, report: Report, outcome: str) -> None:
    def play(fuse: Fuse) -> tuple[bool, int]:
        fresh(bench)
        rendered, state = outcomes(bench, report)[outcome]
        history = History(bench, rendered)
        return history.play(dispatch=fuse.wrap), history.check(state)

    assert killed_at_every_step(play) == {1}  # dispatch does not announce a job that it hands over


@pytest.mark.timeout(180)
@pytest.mark.parametrize("settle_again", [True, False], ids=["called-again", "gone"])
@pytest.mark.parametrize("outcome", ["report", "page_status", "killed", "never started once"])
def test_settle_killed_at_every_step(bench: Bench, report: Report, outcome: str, settle_again: bool) -> None:
    def play(fuse: Fuse) -> tuple[bool, int]:
        fresh(bench)
        rendered, state = outcomes(bench, report)[outcome]
        history = History(bench, rendered)
        return history.play(settle=fuse.wrap, settle_again=settle_again), history.check(state)

    announced = killed_at_every_step(play)
    # The end is announced twice, with one key, only if settle dies between the announcement and the note of it.
    assert announced <= {1, 2}
    assert 1 in announced


@pytest.mark.parametrize("outcome", ["report", "killed"])
def test_job_whose_result_never_reaches_settle_has_another_attempt(bench: Bench, report: Report, outcome: str) -> None:
    """The parked message comes back after the lease and starts the next attempt."""
    assert bench.dispatch(bench.queue_job()) == ["handed over"]
    bench.jobs.clear()
    bench.pass_lease()
    [parked] = bench.waiting()
    assert bench.dispatch(parked) == ["handed over"]
    job = bench.jobs[0]
    assert bench.settle(bench.rendered(job, report) if outcome == "report" else killed(job)) in ("done", "retried")
    assert bench.record().attempt == 2


@pytest.mark.timeout(180)
@pytest.mark.parametrize("outcome", ["report", "page_status", "killed"])
def test_job_deleted_at_every_step_of_dispatch_leaves_nothing(bench: Bench, report: Report, outcome: str) -> None:
    """Whether dispatch hands over or drops the job, no record and no PDF reappear."""
    handed_over = set()
    for steps in range(30):
        fresh(bench)
        deletion = Deletion(bench, steps)
        bench.dispatch(bench.queue_job(), wrap=deletion.wrap)
        handed_over.add(len(bench.jobs))
        while bench.jobs:
            bench.settle(outcomes(bench, report)[outcome][0](bench.jobs.pop()))
        if not deletion.done:
            break  # dispatch makes no more calls than `steps`
        bench.pass_lease()
        for delivery in bench.waiting():
            assert bench.dispatch(delivery) == ["dropped"]
        assert (bench.store.read(ID), bench.pdf(), bench.waiting()) == (None, None, [])
        assert bench.slots_free() == bench.renders
    else:
        pytest.fail("dispatch makes more calls than were tried")
    assert handed_over == {0, 1}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("outcome", ["report", "page_status", "killed"])
def test_job_deleted_at_every_step_of_settle_leaves_nothing(bench: Bench, report: Report, outcome: str) -> None:
    """Whatever settle does after the deletion, no record and no PDF reappear."""
    for steps in range(30):
        fresh(bench)
        bench.dispatch(bench.queue_job())
        event = outcomes(bench, report)[outcome][0](bench.jobs.pop())
        deletion = Deletion(bench, steps)
        bench.settle(event, deletion.wrap)
        if not deletion.done:
            break  # settle makes no more calls than `steps`
        for delivery in bench.waiting():
            assert bench.dispatch(delivery) == ["dropped"]
        assert (bench.store.read(ID), bench.pdf(), bench.waiting()) == (None, None, [])
        assert bench.slots_free() == bench.renders
    else:
        pytest.fail("settle makes more calls than were tried")


def test_parked_message_announces_an_end_that_settle_could_not_publish(bench: Bench, report: Report) -> None:
    bench.dispatch(bench.queue_job())
    event = bench.rendered(bench.jobs.pop(), report)

    class Away:
        def __init__(self, part: Any) -> None:
            self._part = part

        def publish(self, *_: Any, **__: Any) -> None:
            raise UrlshotError("queue_unavailable")

    with pytest.raises(UrlshotError, match="queue_unavailable"):
        bench.settle(event, lambda part: Away(part) if hasattr(part, "publish") else part)
    assert (bench.record().state, bench.record().announced) == ("done", False)
    [parked] = bench.waiting()
    assert bench.dispatch(parked) == ["done"]
    assert bench.record().announced
