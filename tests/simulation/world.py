"""Runs one history: the real code of the functions around `render` over the simulated services."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from functions.api import job_calls as api_jobs
from functions.api.requests import Wanted
from functions.dispatch import app as dispatch_app
from functions.dispatch import bare, handover, invoke
from functions.dispatch.batch import Delivery
from functions.settle import invocation
from functions.settle import settle as settle_module
from tests.simulation.books import Books, Violation
from tests.simulation.broker import Message, SimulatedBroker
from tests.simulation.consumers import Consumers
from tests.simulation.decisions import STEP, Decisions
from tests.simulation.deliveries import Deliveries
from tests.simulation.events import SimulatedEvents
from tests.simulation.install import Active
from tests.simulation.kernel import Kernel, Killed
from tests.simulation.lambdas import SimulatedLambda
from tests.simulation.outside import NAMES, REFUSE_ALL, SUBSCRIBERS
from tests.simulation.s3 import Object, SimulatedS3
from tests.simulation.setting import URLS, Operation, Setting
from urlshot.adapters import slots, store
from urlshot.adapters.bus import Bus
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.egress import Egress
from urlshot.core.errors import Broken, Rejected, UrlshotError
from urlshot.core.identity import job_id
from urlshot.core.lease import SETTLE_SECONDS, lease_seconds
from urlshot.core.messages import QUEUES, BareMessage
from urlshot.core.options import DEFAULTS
from urlshot.core.records import Bounds
from urlshot.lifecycle import accept, announce, parking
from urlshot.lifecycle.accept import Outcome, Request

BUCKET = "bucket"
IDS = {url: job_id(url, {}) for url in URLS}
EGRESS = Egress()
API_SECONDS, DISPATCH_SECONDS, SETTLE_TIMEOUT = 30, 100, SETTLE_SECONDS - 5
"""The time-outs of the functions in seconds. A frozen function ends at its time-out."""


class World:
    """The services, the functions and the books of one history."""

    def __init__(self, setting: Setting, operations: list[Operation], decisions: Decisions, *, tracing: bool = False):
        Active.kernel = self.kernel = kernel = Kernel(decisions, tracing=tracing)
        Active.tokens, Active.unexpected = 0, self._unexplained
        self.setting = setting
        self.operations = operations
        self.decisions = decisions
        deliveries = Deliveries(REFUSE_ALL)
        self.books = Books(setting.max_attempts, setting.renders, same_bytes=setting.same_bytes, deliveries=deliveries)
        self._numbers: dict[str, int] = {}
        clock = kernel.clock
        delays, lease = (5, 30, 120), lease_seconds(90)
        self._lease = timedelta(seconds=lease)
        s3: Any = SimulatedS3(kernel, self._object_changed)
        publisher: Any = SimulatedBroker(
            kernel,
            tuple(sorted({*delays, lease})),
            setting.batch,
            self._dispatch,
            lambda queue: self.books.violation("unroutable", queue),
            deliveries=setting.deliveries,
        )
        self.consumers = Consumers(kernel, BUCKET, s3, deliveries, operator=setting.operator)
        events: Any = SimulatedEvents(kernel, self.books, self.consumers.targets)
        lambdas: Any = SimulatedLambda(
            kernel,
            s3,
            self._settle,
            self.books.render_changed,
            same_bytes=setting.same_bytes,
            twice=setting.twice,
        )
        self.s3: SimulatedS3 = s3
        self.broker: SimulatedBroker = publisher
        the_store = store.Store(BUCKET, s3)
        the_parking = parking.Parking(publisher, delays, lease)
        bus = Bus("bus", events)
        announcer = announce.Announcer(the_store, publisher, bus, the_parking, clock)
        places = slots.Slots(BUCKET, s3, "slot", setting.renders, timedelta(seconds=lease), clock)
        self.acceptor = accept.Acceptor(the_store, publisher, clock)
        hand_over = handover.HandOver(
            store=the_store,
            slots=places,
            announcer=announcer,
            parking=the_parking,
            renderer=invoke.Renderer("render", lambdas),
            bounds=Bounds(setting.max_attempts, timedelta(seconds=setting.max_job_age)),
            render_timeout=90,
            clock=clock,
        )
        messages = bare.BareMessages(the_store, self.acceptor, announcer, EGRESS, 3600, clock)
        self.dispatcher = dispatch_app.Dispatcher(places, messages, hand_over, announcer, the_parking, setting.batch)
        self.settler = settle_module.Settler(the_store, places, announcer, the_parking, setting.max_attempts, clock)
        self.deps: Any = SimpleNamespace(
            store=the_store,
            settings=SimpleNamespace(require_api_key=True),
            subscriptions=SubscriptionStore(BUCKET, s3),
            acceptor=self.acceptor,
            bus=bus,
        )

    def run(self) -> list[Violation]:
        """Runs the history to its end, and returns the violations."""
        kernel, decisions = self.kernel, self.decisions
        decisions.faults, decisions.freezes = self.setting.faults, self.setting.freezes
        decisions.least, decisions.quiet = self.setting.least, self.setting.quiet
        decisions.weak, decisions.slow = self.setting.weak, self.setting.slow
        for number, operation in enumerate(self.operations, 1):
            kernel.after(operation.at, lambda number=number, operation=operation: self._begin(number, operation))
        try:
            well = kernel.run(self.setting.heal_at)
            kernel.say("world", "everything heals")
            decisions.faults, decisions.weak, decisions.calm = 0.0, "", True
            self.books.deliveries.healed = kernel.now
            self.broker.down_until = 0.0
            well = well and kernel.run()
        finally:
            self.books.refusals = [(at, IDS[url]) for at, url in self.broker.refusals]
            kernel.close()
        if not well:
            self.books.violation("restless", "the history does not end")
        left = sum(map(len, self.broker.work.values())) + self.broker.waiting
        return self.books.close(self.s3.objects, left, operator=self.setting.operator)

    def release(self) -> None:
        """Breaks the cycles of references, because the garbage collector takes a tenth of the time of all histories."""
        for one in (self.consumers, self.kernel, self):
            one.__dict__.clear()

    def _object_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        if key.startswith("sub/"):
            self.books.deliveries.subscription_changed(
                self.kernel.now, self.kernel.running(), key, there=new is not None
            )
        elif key.startswith("claim/"):
            if new is not None:
                self.books.deliveries.claim_written(self.kernel.current(), new.body)
        else:
            self.books.object_changed(self.kernel.running(), key, old, new)

    def _name(self, what: str) -> str:
        self._numbers[what] = number = self._numbers.get(what, 0) + 1
        return f"{what} {number}"

    # ---- operations --------------------------------------------------------------------------------------------------

    def _begin(self, number: int, operation: Operation) -> None:
        name = f"{operation.what} {number}"
        match operation.what:
            case "request":
                self.kernel.spawn(name, lambda: self._request(name, operation), API_SECONDS, self._unexpected(name))
            case "delete":
                self._begin_delete(name, operation)
            case "bare":
                url = operation.url
                self.kernel.say(name, f"publishes {url}")
                self.books.bare.append((self.kernel.now, IDS[url]))
                self.broker.put(QUEUES[operation.priority], BareMessage(url=url).body(), name)
            case "down":
                self.kernel.say(name, f"the mappings fetch nothing for {operation.seconds:.0f} s")
                self.broker.down_until = self.kernel.now + operation.seconds
            case "jump":
                self.kernel.say(name, f"the clock jumps by {operation.seconds:.0f} s")
                self.kernel.now += operation.seconds

    def _request(self, name: str, operation: Operation) -> None:
        request = Request(
            IDS[operation.url],
            operation.url,
            DEFAULTS,
            operation.max_age,
            self.kernel.clock(),
            correlation_id=name,
            priority=operation.priority,
        )
        wanted = Wanted(request, tuple(SUBSCRIBERS[one] for one in operation.tell))
        accepted = api_jobs.accept(self.deps, wanted)
        self.kernel.say(name, f"is answered {accepted.outcome.value}")
        generation = ""
        if accepted.outcome in (Outcome.QUEUED, Outcome.JOINED):
            assert accepted.record is not None
            generation = accepted.record.generation
            self.books.accepted.append((request.id, generation))
        self.books.deliveries.accepted(name, request.id, generation, tuple(NAMES[one] for one in operation.tell))

    def _begin_delete(self, name: str, operation: Operation) -> None:
        """Deletes a job; after an error or no answer, the client tries again until the job is deleted."""
        judge = self._unexpected(name)

        def ended(error: BaseException | None, result: Any) -> None:
            judge(error, result)
            if error is not None and not isinstance(error, Rejected):
                self.kernel.after(20, lambda: self._begin_delete(f"{name}'", operation))

        self.kernel.spawn(name, lambda: self._delete(name, operation), API_SECONDS, ended)

    def _delete(self, name: str, operation: Operation) -> None:
        job = IDS[operation.url]
        call: Any = SimpleNamespace(parameters={"id": job}, request_id=name)
        self.books.half_deleted.add(name)
        began = self.kernel.now
        self.books.deletions.append((began, job))
        try:
            api_jobs.delete(self.deps, call)
            self.books.delete_ended(name, job)
            self.books.deliveries.deleted(job, began, self.kernel.now, name)
        finally:
            self.books.deletions.append((self.kernel.now, job))

    def _unexplained(self, name: str, error: BaseException | None) -> None:
        self.books.violation("error", f"{name}: {error!r}")

    def _unexpected(self, name: str) -> Callable[[BaseException | None, Any], None]:
        def ended(error: BaseException | None, _: Any) -> None:
            if isinstance(error, Broken) or (error is not None and not isinstance(error, UrlshotError | Killed)):
                self.books.violation("error", f"{name}: {error!r}")
            elif error is not None and not isinstance(error, Killed | Rejected):
                self.kernel.say(name, f"is answered {error}")

        return ended

    # ---- Lambda's calls of the functions ----------------------------------------------------------------------------

    def _dispatch(self, queue: str, batch: list[Message], handled: Callable[[bool], None]) -> None:
        name = self._name(f"dispatch {self.broker.KINDS[queue]}")
        deliveries = [
            Delivery(one.queue or queue, one.body, one.redelivered, one.correlation_id, one.returned) for one in batch
        ]
        deadline = self.kernel.now + DISPATCH_SECONDS

        def run() -> bool:
            outcomes = self.dispatcher.handle(deliveries, lambda: deadline - self.kernel.now)
            self.kernel.say(name, f"returns {[one.outcome for one in outcomes]}")
            well = all(one.outcome != dispatch_app.LEFT for one in outcomes)
            if well:
                self.books.dispatched(name, len(batch), self.broker.parked[name])
            return well

        def ended(error: BaseException | None, well: Any) -> None:
            if error is not None and not isinstance(error, Killed):
                self.books.violation("error", f"{name}: {error!r}")
            self.kernel.after(STEP if well else 1.0, lambda: handled(bool(well)))

        self.kernel.spawn(name, run, DISPATCH_SECONDS, ended)

    def _settle(self, event: dict[str, Any], settled: Callable[[bool], None]) -> None:
        name = self._name("settle")
        self.books.settling[name] = event["requestPayload"], self._lease

        def run() -> None:
            self.kernel.say(name, f"is called for {event['requestPayload']['claim']}")
            outcome = self.settler.settle(invocation.read(event)).outcome
            self.kernel.say(name, f"returns {outcome}")

        def ended(error: BaseException | None, _: Any) -> None:
            if error is not None and not isinstance(error, UrlshotError | Killed):
                self.books.violation("error", f"{name}: {error!r}")
            settled(error is None)

        self.kernel.spawn(name, run, SETTLE_TIMEOUT, ended)
