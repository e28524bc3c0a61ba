"""Checks the effects outside of the system, mails and callbacks: none came twice without a fault that explains it."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.armory import Hurt, Injected
from tests.faults.project import CALLBACK_TIMEOUT
from tests.simulation.books import Violation

_LOOK_UP = 1.0
"""Seconds around the arrival of a callback in which its process is looked up."""
CLOCKS = 1.0
"""Seconds by which two processes may note a different time for the same moment."""
MAIL_SECONDS = 30.0
"""How long before a mail is written a fault of its call may be noted; some faults delay the call."""
HIDES_MAIL = ("late", "cut half", "cut after", "killed after", "frozen before", "frozen after")
"""Faults of the call that mails after which the mail is sent, and the function may not know it."""


@dataclass(frozen=True)
class Post:
    """A callback as it was received, and how it was answered: a status, or 0 for none."""

    at: float
    path: str
    webhook_id: str
    answered: int
    job: str = ""
    pid: int | None = None
    """The process that posted it, if it was found."""


def check_mails(
    mails: list[tuple[float, str]], events: Counter[str], faults: Iterable[Injected]
) -> tuple[list[Violation], int]:
    """Checks that there are no more mails about a job than events.

    A mail may come again only if a fault has hidden that it was sent: the answer of the service that mails did not
    come, or the note that it was sent was not stored. Each such fault excuses one mail about the same job.

    Args:
        mails: When each mail was written, and its text, which has the address of its job.
        events: How many events with different keys each job had.
        faults: All faults that hit a request.

    Returns:
        The violations, and how many mails came again because an answer was lost.
    """
    found, ambiguous = [], 0
    by_id: dict[str, list[float]] = defaultdict(list)
    for at, text in mails:
        if (job := re.search(r"(?m)^Job:\s.*/pdf/(\w+)$", text)) is not None:
            by_id[job[1]].append(at)
    hiding = [one for one in faults if one.place == "mail.noted" or (one.place == "mail" and one.fault in HIDES_MAIL)]
    for job_id, times in by_id.items():
        if (more := len(times) - events[job_id]) <= 0:
            continue
        begin, end = min(times) - MAIL_SECONDS, max(times) + CLOCKS
        excused = min(more, sum(one.job == job_id and begin <= one.at <= end for one in hiding))
        ambiguous += excused
        if more > excused:
            text = f"{len(times)} mails for {events[job_id]} events of {job_id}, {excused} of them after a lost answer"
            found.append(Violation("doubled mail", text))
    return found, ambiguous


def _was_gone(post: Post, hurt: float) -> bool:
    """Returns whether a callback came from a process that was killed then, and could not be looked up any more."""
    return post.pid is None and abs(hurt - post.at) < _LOOK_UP


def check_callbacks(posts: list[Post], faults: Iterable[Injected], hurt: Iterable[Hurt]) -> tuple[list[Violation], int]:
    """Checks that each callback was answered once.

    A callback may come again only if its answer was lost, or if between both posts the note about the first one was
    hit, or the process that posted it was killed or stopped.

    Args:
        posts: All callbacks that were received.
        faults: All faults that hit a request.
        hurt: The processes that were killed or stopped.

    Returns:
        The violations, and how many callbacks came again because their answer was lost.
    """
    found, ambiguous = [], 0
    by_id: dict[tuple[str, str], list[Post]] = defaultdict(list)
    for post in sorted(posts, key=lambda one: one.at):
        by_id[post.path, post.webhook_id].append(post)
    hiding = [(one.at, one.job) for one in faults if one.place == "callback.noted"]
    hiding_pids = [(one.at, one.pid) for one in hurt]
    for (path, _), same in by_id.items():
        for first, second in itertools.pairwise(same):
            if first.answered == 0:
                ambiguous += 1
            elif first.answered < 300:
                ours = [at for at, job in hiding if job == first.job] + [
                    at for at, pid in hiding_pids if pid == first.pid or _was_gone(first, at)
                ]
                if any(first.at - CALLBACK_TIMEOUT <= at <= second.at for at in ours):
                    ambiguous += 1
                else:
                    text = (
                        f"{path} of {first.job} was posted at {first.at:.1f} by process {first.pid} and answered with"
                    )
                    text += f" {first.answered}, and again at {second.at:.1f} by process {second.pid}"
                    found.append(Violation("doubled callback", text))
    return found, ambiguous
