"""Declares the topology on a broker, and waits for the shards that are to go.

Where this stands in a CloudFormation update, whose order follows from the references and `DependsOn` of template.yaml
("B is updated before A" if A depends on B, says the DependsOn attribute's reference; what is removed is deleted last):

    Topology ──▶ ApiFunction (SHARDS), DispatchFunction (SHARDS) ──▶ mappings; at last, mappings that are gone

More shards: their queues are there, with nobody publishing to them, before `api` and `dispatch` do and before the
mappings consume. What comes between the two waits.

Fewer shards: the keys of the old shards lead to the remaining queues at once, so that an `api` that has not heard of it
yet loses nothing. From then on nothing comes into the old work queues: not from the exchange, and not from their delay
queues, which end in the successor. What they hold is handed over to the successor, or taken by their mapping, which is
still at work; to wait for it alone would wait for ever where the mapping is disabled or could not be made. When they
are empty, and only then, CloudFormation hears of success and goes on, and the mapping that it deletes in the end leaves
an empty queue behind.

If the update fails, CloudFormation comes again with the old properties, and the old shards are bound as they were; what
a successor has got by then stays with it. So it does after a failed update to more shards, whose mapping may be what
could not be made.
"""

from __future__ import annotations

import time

from functions.topology.description import Users, Wanted, describe, outdated, successors
from functions.topology.management import Management
from urlshot.errors import Broken
from urlshot.logs import logger

log = logger()

FIGURES_SECONDS = 15.0
"""How old the management API's figures can be: a quorum queue tells its own every 5 s (RabbitMQ's
`quorum_tick_interval`). A queue that nothing comes into any more, and that is said to be empty after three times as
long, is empty."""

CHUNK = 100
"""Messages that are handed over by one call."""


def declare(management: Management, wanted: Wanted, users: Users, seconds: float) -> int:
    """Declares all that is wanted, and waits for up to `seconds` until the old shards are empty.

    Returns the number of declaring calls.

    Raises:
        Broken: the broker refuses or does not answer, or old shards are not empty in time; the text says what to do.
    """
    deadline = time.monotonic() + seconds
    there = management.queues()
    calls = 0
    for call in describe(wanted, there, users):
        management.carry_out(call)
        calls += 1
    for call in outdated(wanted.shards, management.bindings()):
        management.carry_out(call)
        calls += 1
    if spare := successors(wanted.shards, there):
        _drain(management, spare, wanted.limit, deadline)
    return calls


def _drain(management: Management, spare: dict[str, str], limit: int, deadline: float) -> None:
    """Waits until the spare queues are empty; meanwhile hands over what waits in them, as far as there is room."""
    counts = management.messages()
    while True:
        for queue, successor in spare.items():
            # Half of the room that there was a moment ago: a queue that is full takes a dead letter only when the
            # broker tries again, minutes later.
            room = (limit - counts.get(successor, limit) + 1) // 2
            handed = _hand_over(management, queue, room)
            counts[successor] = counts.get(successor, limit) + handed
        time.sleep(FIGURES_SECONDS)  # nobody tells when the figures are new
        counts = management.messages()
        held = {queue: counts.get(queue) for queue in spare if counts.get(queue) != 0}
        log.info("topology: drained" if not held else "topology: draining", extra={"queues": spare, "held": held})
        if not held:
            return
        if time.monotonic() + FIGURES_SECONDS > deadline:
            names = ", ".join(f"{queue} ({'?' if count is None else count})" for queue, count in held.items())
            raise Broken(
                f"Queues of shards that are to go still hold messages: {names}. Either dispatch has taken them and is "
                f"not done, or there is no room in {', '.join(sorted(set(spare.values())))}. Nothing is lost, and the "
                "shards stay. See dispatch's log, or raise QueueLimit; lower Shards again when there is less to do."
            )


def _hand_over(management: Management, queue: str, room: int) -> int:
    handed = 0
    while handed < room:
        count = management.dead_letter(queue, min(CHUNK, room - handed))
        handed += count
        if count == 0:
            break
    return handed
