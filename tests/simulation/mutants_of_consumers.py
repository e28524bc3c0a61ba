"""Known mistakes in how subscribers are served. The simulation must find each of them."""

from __future__ import annotations

from functions.api import job_calls
from functions.callback.work import Worker
from functions.mail.app import Mailer
from tests.simulation.mutant import Mutant
from urlshot.adapters.claims import Claims
from urlshot.core import subscriptions

ASKING = "with deps.subscriptions.asking(request.id, wanted.subscribers, request.at) as names:\n"
ACCEPT = "accepted = deps.acceptor.accept(request, patience=PATIENCE_SECONDS)\n"
CLAIM = "etag = self._write(subscriber, claimed, etag)\n"
MARK = "self._mark(subscriber, memory, etag, event_key, names)\n"
SEND = """\
    try:
        result = send()
    except Exception:
        with suppress(Busy, UrlshotError):  # if this fails, the claim expires
            self._write(subscriber, memory.model_copy(update={"holder": "", "until": None}), etag)
        raise
"""

CONSUMER_MUTANTS = (
    Mutant(
        "a request subscribes after it has read the record",
        job_calls,
        "accept",
        f"{ASKING}        {ACCEPT}",
        f"{ACCEPT}    {ASKING}",
    ),
    Mutant(
        "a hit does not serve its subscriptions",
        job_calls,
        "accept",
        "if names and accepted.outcome in (Outcome.HIT, Outcome.FAILED):",
        "if False:",
    ),
    Mutant(
        "a deleted job keeps its subscriptions", job_calls, "delete", "deps.subscriptions.delete_all(job_id)", "pass"
    ),
    Mutant(
        "a consumer marks before it sends",
        Claims,
        "once",
        f"    {CLAIM}{SEND}    {MARK}",
        f"    {MARK}    result = send()\n",
    ),
    Mutant("a consumer does not claim", Claims, "once", CLAIM, "pass\n"),
    Mutant("a claim never expires", Claims, "once", "at < memory.until + CLOCKS", "True"),
    Mutant("a claim protects nothing", Claims, "once", "at < memory.until + CLOCKS", "False"),
    Mutant("an event that comes again is sent again", Claims, "once", "event_key in memory.sent or (", "("),
    Mutant(
        "an event does not see the answers of other events",
        Claims,
        "once",
        "(names and len(answered) == len(names))",
        "False",
    ),
    Mutant(
        "an event that others have answered in part is not sent",
        Claims,
        "once",
        "(names and len(answered) == len(names))",
        "answered",
    ),
    Mutant(
        "a consumer deletes subscriptions that are not answered",
        Mailer,
        "mail",
        "one for one in subscriptions if one.name in answered",
        "subscriptions",
    ),
    Mutant("a callback needs no subscription", Worker, "_deliver", "if not left:", "if False:"),
    Mutant(
        "an end answers subscriptions of any time",
        subscriptions,
        "serves",
        "subscription.asked_at <= event.finished_at + TOLERANCE",
        "True",
    ),
    Mutant(
        "the event of a hit answers all subscriptions",
        subscriptions,
        "serves",
        "subscription.name in event.subscriptions",
        "True",
    ),
)
