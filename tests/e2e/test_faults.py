"""Functions are killed and the broker is frozen in the whole local stack: no job is lost, no mail is sent twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import RENDERS, Pages, Stack, call, eventually, kill, processes_of_run


@contextmanager
def frozen_broker(stack: Stack) -> Iterator[None]:
    """Stops the broker's process for a while, which looks like a network that drops all packets."""
    [broker] = [pid for pid, command in processes_of_run(stack.folder) if "beam.smp" in command]
    os.kill(broker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker, signal.SIGCONT)


def kill_busy(stack: Stack, function: str) -> None:
    """Kills the instances of a function that are handling an event."""
    busy = eventually(
        lambda: [one for one in stack.instances(function) if one["state"] == "busy"], f"a busy {function}"
    )
    for one in busy:
        kill(one["pid"])


@pytest.mark.timeout(180)
def test_message_survives_a_dispatch_killed_while_it_waits_for_a_slot(stack: Stack, pages: Pages) -> None:
    paths = [f"/killed-dispatch-holds-{number}" for number in range(RENDERS)]
    gates = [pages.hold(path) for path in paths]
    try:
        jobs = [stack.post(pages.url(path)).json()["id"] for path in paths]
        assert all(arrived.wait(60) for arrived, _ in gates)
        waiting = stack.post(pages.url("/killed-dispatch")).json()["id"]
        kill_busy(stack, "DispatchFunction")
        assert call("GET", f"{stack.endpoint}/pdf/{waiting}").json()["state"] == "queued"
    finally:
        for _, go in gates:
            go.set()
    assert {stack.ended(job)["state"] for job in (*jobs, waiting)} == {"done"}
    assert pages.hits["/killed-dispatch"] == 1


@pytest.mark.timeout(180)
def test_job_of_a_killed_render_is_tried_again(stack: Stack, pages: Pages) -> None:
    arrived, go = pages.hold("/killed-render")
    job = stack.post(pages.url("/killed-render")).json()["id"]
    assert arrived.wait(60)
    kill_busy(stack, "RenderFunction")
    go.set()
    ended = stack.ended(job)
    assert (ended["state"], ended["attempt"]) == ("done", 2)
    [line] = eventually(lambda: stack.log_lines("LogFunction", job), "the log line")
    assert line["attempts"] == 2


@pytest.mark.timeout(180)
def test_settle_killed_while_it_announces_is_called_again(stack: Stack, pages: Pages) -> None:
    arrived, go = pages.hold("/killed-settle")
    job = stack.post(pages.url("/killed-settle")).json()["id"]
    assert arrived.wait(60)
    eventually(lambda: stack.log_lines("DispatchFunction", job), "the end of the hand-over")
    with frozen_broker(stack):
        go.set()
        eventually(lambda: stack.log_lines("RenderFunction", job), "the end of the render")
        kill_busy(stack, "SettleFunction")
    eventually(lambda: stack.record(job)["state"] == "done" and stack.record(job)["announced"], "the announcement")
    ended = stack.ended(job)
    assert (ended["state"], ended["attempt"], pages.hits["/killed-settle"]) == ("done", 1, 1)
    lines = eventually(lambda: stack.log_lines("LogFunction", job), "the log line")
    assert len({line["event_key"] for line in lines}) == 1
    assert len(eventually(lambda: stack.mails(job), "the mail")) == 1


@pytest.mark.timeout(180)
def test_frozen_broker_is_a_503_and_the_next_request_works(stack: Stack, pages: Pages) -> None:
    url = pages.url("/broker-frozen")
    with frozen_broker(stack):
        refused = stack.post(url)
    assert (refused.status, refused.json()["code"]) == (503, "queue_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    accepted = stack.post(url)
    assert accepted.status in (200, 202)
    assert stack.ended(accepted.json()["id"])["state"] == "done"
