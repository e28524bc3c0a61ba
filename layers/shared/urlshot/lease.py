"""How long a claim on a job lasts: from the hand-over to `render` until another may take the job.

    claim ── waits in Lambda's queue ──▶ render starts ── render's timeout ──▶ render ends ── settle ──▶ lease ends

A message of the job is parked on the broker for the same time, so that the job is looked at again when the lease ends.
"""

from __future__ import annotations

EVENT_AGE_SECONDS = 60
"""How long Lambda may hold the event before `render` starts: MaximumEventAgeInSeconds of `render` in template.yaml."""

SETTLE_SECONDS = 45
"""How long `settle` may take to start and to end the job before the lease ends."""


def lease_seconds(render_timeout: int) -> int:
    """Seconds that a claim lasts; `render_timeout` is the timeout of the function `render` in seconds."""
    return EVENT_AGE_SECONDS + render_timeout + SETTLE_SECONDS
