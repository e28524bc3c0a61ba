"""What is killed or frozen between two steps, in the whole local stack: nothing is lost, nothing is told twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Pages, Stack, call, eventually, kill


@pytest.mark.timeout(300)
@pytest.mark.parametrize("to_the_end", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_dispatch_killed_while_its_page_renders(stack: Stack, pages: Pages, to_the_end: bool) -> None:
    """The broker delivers again; the record says that somebody may still be at it, so the message waits for the lease.

    The lease lasts two minutes, so that its end is awaited in `make prove` only.
    """
    path = f"/dispatch-killed-{to_the_end}"
    arrived, go = pages.hold(path)
    job = stack.post(pages.url(path)).json()["id"]
    assert arrived.wait(60)
    [dispatch] = [one for one in stack.instances("DispatchFunction") if one["state"] == "busy"]
    kill(dispatch["pid"])
    eventually(lambda: stack.log_lines("DispatchFunction", '"parked":1'), "the redelivery")
    record = call("GET", f"{stack.endpoint}/pdf/{job}").json()
    assert (record["state"], record["attempt"]) == ("running", 1)
    go.set()
    if to_the_end:
        ended = eventually(
            lambda: (
                call("GET", f"{stack.endpoint}/pdf/{job}?wait=25").json()["state"] == "done"
                and call("GET", f"{stack.endpoint}/pdf/{job}").json()
            ),
            "the second attempt",
            200,
        )
        assert ended["attempt"] == 2
        [line] = eventually(lambda: stack.log_lines("LogFunction", job), "the log line")
        assert line["attempts"] == 2
        assert len(stack.mails(job)) == 1


def test_render_killed_is_tried_again(stack: Stack, pages: Pages) -> None:
    arrived, go = pages.hold("/render-killed")
    job = stack.post(pages.url("/render-killed")).json()["id"]
    assert arrived.wait(60)
    for render in stack.instances("RenderFunction"):
        if render["state"] == "busy":
            kill(render["pid"])
    go.set()
    ended = stack.ended(job)
    assert (ended["state"], ended["attempt"]) == ("done", 2)
    [line] = eventually(lambda: stack.log_lines("LogFunction", job), "the log line")
    assert line["attempts"] == 2


def test_a_frozen_broker_is_a_503_that_the_record_tells_and_passes(stack: Stack, pages: Pages) -> None:
    [broker] = [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if "beam.smp" in (command := (process / "cmdline").read_text(errors="replace"))
        and str(Path(stack.ready["logs"]).parent) in command + (process / "environ").read_text(errors="replace")
    ]
    url = pages.url("/broker-frozen")
    os.kill(broker, signal.SIGSTOP)
    try:
        refused = stack.post(url)
    finally:
        os.kill(broker, signal.SIGCONT)
    assert (refused.status, refused.json()["code"]) == (503, "queue_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    accepted = stack.post(url)
    assert accepted.status in (200, 202)
    assert stack.ended(accepted.json()["id"])["state"] == "done"
