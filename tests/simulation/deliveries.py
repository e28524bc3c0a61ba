"""Records the mails and callbacks of a history, and checks that each subscriber gets what its request was promised.

A delivery is a mail that SES accepted, or a callback that its server got. The rules are those of
`urlshot.core.subscriptions`: an accepted request has a subscription for each of its addresses; an event answers the
subscriptions that it names, or, if it is the event of an end, those from before its announcement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from tests.simulation.kernel import Process, Thread
from urlshot.core.records import CLOCKS

NEVER = float("inf")


@dataclass(eq=False)
class Subscription:
    name: str
    job: str
    subscriber: str
    asked_at: datetime
    request: str
    """The process that wrote it."""
    written: float
    over: float = NEVER
    """When it was deleted, or when a deletion of its job succeeded."""
    over_by: str = ""


@dataclass(eq=False)
class Delivery:
    at: float
    subscriber: str
    event: dict[str, Any]
    process: Process
    answer_lost: bool = False
    """Whether the other side got it, and its answer did not come back."""
    noted: bool = False
    """Whether the consumer has stored that it sent this, or has handled the event without an error."""


@dataclass(frozen=True)
class Promise:
    """An accepted request; `generation` is that of its job, and empty if the job had ended before."""

    request: str
    job: str
    generation: str
    subscribers: tuple[str, ...]


class Deliveries:
    """The books about subscribers. Violations are pairs of a kind and a text."""

    def __init__(self, refuse_all: frozenset[str]) -> None:
        """Creates empty books; `refuse_all` are the subscribers that never accept anything."""
        self.found: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.healed = NEVER
        """The time at which all faults ended."""
        self._refuse_all = refuse_all
        self._promises: list[Promise] = []
        self._subscriptions: dict[str, Subscription] = {}
        self._of_request: dict[tuple[str, str], Subscription] = {}
        self._sent: defaultdict[tuple[str, str], list[Delivery]] = defaultdict(list)
        """The deliveries to each subscriber about each event_key."""
        self._given_up: list[tuple[float, str, dict[str, Any]]] = []
        self._ids: dict[str, tuple[str, str]] = {}

    # ---- while it happens --------------------------------------------------------------------------------------------

    def subscription_changed(self, now: float, who: str, key: str, *, there: bool) -> None:
        _, job, name = key.removesuffix(".json").split("/")
        if there:
            subscriber, milliseconds, _ = name.rsplit("-", 2)
            asked_at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
            made = Subscription(name, job, subscriber, asked_at, who, now)
            self._subscriptions[name] = self._of_request[who, subscriber] = made
        elif (one := self._subscriptions[name]).over == NEVER:
            one.over, one.over_by = now, who

    def deleted(self, job: str, began: float, now: float, who: str) -> None:
        """Notes that a deletion of a job succeeded, which ends all subscriptions from before it began."""
        for one in self._subscriptions.values():
            if one.job == job and one.written < began and one.over == NEVER:
                one.over, one.over_by = now, who

    def accepted(self, request: str, job: str, generation: str, subscribers: tuple[str, ...]) -> None:
        if subscribers:
            self._promises.append(Promise(request, job, generation, subscribers))

    def received(self, thread: Thread, subscriber: str) -> Delivery:
        """Records a delivery by a thread about its event, and compares it with earlier ones."""
        now, key = thread.process.kernel.now, thread.event["event_key"]
        earlier = self._sent[subscriber, key]
        if any(not _unsure(one, now) for one in earlier):
            self.found.append(("sent twice", f"{subscriber} gets {key} again from {thread.process.name}"))
        elif earlier:
            self.counts["ambiguous"] += 1
        made = Delivery(now, subscriber, thread.event, thread.process)
        earlier.append(made)
        thread.sent.append(made)
        thread.last = made
        return made

    def identified(self, webhook_id: str, subscriber: str, event: dict[str, Any], data: dict[str, Any]) -> None:
        """Checks that a callback has the id of its event and subscriber, and is about the job of the event."""
        about = (subscriber, event["event_key"])
        if self._ids.setdefault(webhook_id, about) != about or data["id"] != event["id"]:
            self.found.append(("another id", f"{webhook_id} of {about} is that of {self._ids[webhook_id]}"))

    @staticmethod
    def claim_written(thread: Thread, body: bytes) -> None:
        """Notes that a consumer has stored that it sent its last delivery, or that it has claimed another one."""
        claim = from_json(body)
        if claim.get("sent"):
            if thread.last is not None and claim["event"] == thread.event["event_key"]:
                thread.last.noted = True
        elif claim.get("until"):
            thread.last = None

    @staticmethod
    def handled(thread: Thread) -> None:
        """Notes that a consumer has handled its event without an error."""
        for one in thread.sent:
            one.noted = True

    def given_up(self, began: float, kind: str, event: dict[str, Any]) -> None:
        """Notes an event that went to a dead-letter queue.

        Args:
            began: When the last attempt began.
            kind: `mail` or `callback`, or the name of one subscriber.
            event: The detail of the event.
        """
        self.counts["given up"] += 1
        self._given_up.append((began, kind, event))

    # ---- at the end -------------------------------------------------------------------------------------------------

    def close(
        self, events: list[tuple[float, dict[str, Any]]], deleted: set[tuple[str, str]], *, operator: bool
    ) -> None:
        """Checks the whole history.

        Args:
            events: The events of the bus.
            deleted: The id and the generation of each deleted record.
            operator: Whether the operator wants a mail about each event.
        """
        # An end may be announced several times, and each time answers other requests. A mail about any of them says
        # the same.
        announced: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for _, event in events:
            announced[event["event_key"]].append(event)
        for promise in self._promises:
            for subscriber in promise.subscribers:
                self._check_promise(promise, subscriber, deleted, announced)
        if operator:
            for key, event in {one["event_key"]: one for _, one in events if one["audience"] == "everyone"}.items():
                if not self._sent["operator", key] and not self._excused("operator", event):
                    self.found.append(("not served", f"the operator has no mail about {key}"))
        self.found += self._answered_twice()

    def _check_promise(
        self,
        promise: Promise,
        subscriber: str,
        deleted: set[tuple[str, str]],
        announced: dict[str, list[dict[str, Any]]],
    ) -> None:
        one = self._of_request.get((promise.request, subscriber))
        text = f"{promise.request} was accepted for {promise.generation or 'an earlier end'}, and {subscriber[:12]}"
        if one is None:
            self.found.append(("not served", f"{text} has no subscription"))
            return
        for sent in self._to(subscriber, one.job):
            said = [sent.event, *announced.get(sent.event["event_key"], [])]
            if sent.at >= one.written and any(_answers(event, one) for event in said):
                return
        if one.over_by.startswith("delete") or (promise.job, promise.generation) in deleted:
            return
        if not any(self._excused(subscriber, event) for _, _, event in self._given_up if _answers(event, one)):
            self.found.append(("not served", f"{text} got nothing"))

    def _excused(self, subscriber: str, event: dict[str, Any]) -> bool:
        """Returns whether an event may have been given up: the address refuses everything, or there were faults."""
        kinds = ("mail" if subscriber == "operator" else subscriber.partition("-")[0], subscriber)
        return any(
            given["event_key"] == event["event_key"]
            and kind in kinds
            and (began <= self.healed or subscriber in self._refuse_all)
            for began, kind, given in self._given_up
        )

    def _to(self, subscriber: str, job: str) -> Iterator[Delivery]:
        for (to, key), sent in self._sent.items():
            if to == subscriber and key.startswith(job):
                yield from sent

    def _answered_twice(self) -> Iterator[tuple[str, str]]:
        """Finds subscribers that certainly got more deliveries than they have subscriptions.

        Each event that certainly was delivered must have a subscription of its own that it answered.
        """
        choices: defaultdict[tuple[str, str], dict[str, list[Subscription]]] = defaultdict(dict)
        for (subscriber, key), sent in self._sent.items():
            certain = [one for one in sent if one.noted]
            if not certain or subscriber == "operator":
                continue
            job = certain[0].event["id"]
            choices[subscriber, job][key] = [
                one
                for one in self._subscriptions.values()
                if (one.subscriber, one.job) == (subscriber, job)
                and any(
                    _answers(it.event, one) and one.written <= it.at and it.process.began <= one.over for it in certain
                )
            ]
        for (subscriber, _), events in choices.items():
            taken: dict[Subscription, str] = {}
            for key in events:
                if not _match(key, events, taken, set()):
                    yield "sent twice", f"{subscriber[:12]} gets {key}, and no subscription is left that it can answer"


def _match(key: str, events: dict[str, list[Subscription]], taken: dict[Subscription, str], seen: set[str]) -> bool:
    """Gives an event a subscription that it answers, and moves other events if necessary (Kuhn's algorithm)."""
    for one in events[key]:
        if one.name not in seen:
            seen.add(one.name)
            if one not in taken or _match(taken[one], events, taken, seen):
                taken[one] = key
                return True
    return False


def _unsure(one: Delivery, now: float) -> bool:
    """Returns whether the consumer cannot know that this delivery was sent: the answer was lost, or it died."""
    return not one.noted and (one.answer_lost or one.process.dead or now > one.process.deadline)


def _answers(event: dict[str, Any], one: Subscription) -> bool:
    if event["id"] != one.job:
        return False
    if event["cached"]:
        return one.name in event["subscriptions"]
    return one.asked_at <= datetime.fromisoformat(event["answers_until"] or event["finished_at"]) + CLOCKS
