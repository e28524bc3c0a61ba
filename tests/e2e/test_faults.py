"""What is killed or frozen between two steps, through the whole local stack: nothing is lost, and nothing is told twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.e2e.conftest import Pages, Stack, call, eventually, kill


def test_dispatch_killed_while_its_page_renders(stack: Stack, pages: Pages) -> None:
    """The broker delivers again; the record says that somebody may still be at it, so the message waits for the lease."""
    arrived, go = pages.hold("/dispatch-killed")
    job = stack.post(pages.url("/dispatch-killed")).json()["id"]
    assert arrived.wait(60)
    [dispatch] = [one for one in stack.instances("DispatchFunction") if one["state"] == "busy"]
    kill(dispatch["pid"])
    eventually(
        lambda: any(
            "parked" in str(line) or "dropped" in str(line)
            for line in stack.log_lines("DispatchFunction", "batch: handled")
        ),
        "the redelivery",
    )
    record = call("GET", f"{stack.endpoint}/pdf/{job}").json()
    assert (record["state"], record["attempt"]) == ("running", 1)
    go.set()


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
