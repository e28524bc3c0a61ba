"""Computes the lease of a claim: the time from the hand-over to `render` until another function may take the job.

    claim ── waits in Lambda's queue ──▶ render starts ── render's timeout ──▶ render ends ── settle ──▶ lease ends

The job's message is parked on the broker for the same time, so `dispatch` sees the job again when the lease ends.
"""

from __future__ import annotations

EVENT_AGE_SECONDS = 60
"""How long Lambda may keep the event before `render` starts (`MaximumEventAgeInSeconds` in template.yaml)."""

SETTLE_SECONDS = 45
"""How long `settle` may take, from the end of `render`, to start and to end the job."""


def lease_seconds(render_timeout: int) -> int:
    """Returns the lease of a claim in seconds.

    Args:
        render_timeout: The timeout of the function `render` in seconds.
    """
    return EVENT_AGE_SECONDS + render_timeout + SETTLE_SECONDS
