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
CLAIM = "etag = self._write(key, claim, etag)\n"
SEND = """\
    try:
        result = send()
    except Exception:
        with suppress(Busy, UrlshotError):  # if this fails, the claim expires
            self._write(key, claim.model_copy(update={"until": None}), etag)
        raise
"""
MARK = "self._mark(key, claim, etag)\n"

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
        "_claim_and_send",
        f"    {CLAIM}{SEND}    {MARK}",
        f"    {CLAIM}    {MARK}    result = send()\n",
    ),
    Mutant("a consumer does not claim", Claims, "_claim_and_send", CLAIM, "pass\n"),
    Mutant("a claim never expires", Claims, "once", "self._clock() < claim.until + CLOCKS", "True"),
    Mutant("a claim protects nothing", Claims, "once", "self._clock() < claim.until + CLOCKS", "False"),
    Mutant(
        "an event that comes again is sent again", Claims, "once", "return Once(None, frozenset(subscriptions))", "pass"
    ),
    Mutant(
        "an event that comes again answers other subscriptions",
        Claims,
        "once",
        "subscriptions = self._subscriptions(key_of_event, names) if names else ()",
        "subscriptions = tuple(names)",
    ),
    Mutant("an event does not see the answers of other events", Claims, "once", "if claim.sent:", "if False:"),
    Mutant(
        "an event that others have answered in part is not sent",
        Claims,
        "once",
        "answered.add(name)",
        "return Once(None, frozenset({name}))",
    ),
    Mutant("a withdrawn subscription is answered", Claims, "once", "elif not name or name in names:", "else:"),
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
        "subscription.asked_at <= (event.answers_until or event.finished_at) + CLOCKS",
        "True",
    ),
    Mutant(
        "an end answers subscriptions from before it finished",
        subscriptions,
        "serves",
        "(event.answers_until or event.finished_at)",
        "event.finished_at",
    ),
    Mutant(
        "the event of a hit answers all subscriptions",
        subscriptions,
        "serves",
        "subscription.name in event.subscriptions",
        "True",
    ),
)
