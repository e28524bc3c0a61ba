"""Runs the real code of `mail` and `callback` as consumers of the simulated bus.

Lambda calls `mail` asynchronously: at least once, again after an error, and then the event is undelivered. The events
for `callback` come through an SQS queue. The settings are those of infra/consumers.yaml.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pydantic_core import from_json

from functions.callback import app as callback_app
from functions.callback.outbox import Outbox
from functions.callback.work import Worker
from functions.mail import app as mail_app
from functions.mail.app import Mailer, MailSettings
from tests.simulation.deliveries import Deliveries
from tests.simulation.events import Target
from tests.simulation.install import judge
from tests.simulation.kernel import Kernel, Killed, Process
from tests.simulation.lambdas import RETRY_SECONDS
from tests.simulation.outside import OPERATOR, SimulatedServers, SimulatedSes
from tests.simulation.sqs import Message, SimulatedQueue
from urlshot.adapters.claims import Claims
from urlshot.adapters.subscription_store import SubscriptionStore
from urlshot.core.links import FileLinks
from urlshot.core.subscriptions import Subscriber
from urlshot.core.webhooks import WebhookKeys

MAIL_SECONDS, CALLBACK_SECONDS = 30, 60
"""The time-outs of the functions in seconds."""
PUBLIC_URL = "https://urlshot.example"
KEYS = WebhookKeys(lambda: "a generated password")


class Consumers:
    """The consumers of one history."""

    def __init__(self, kernel: Kernel, bucket: str, s3: Any, deliveries: Deliveries, *, operator: bool) -> None:
        self._kernel = kernel
        self._deliveries = deliveries
        self._numbers: dict[str, int] = {}
        subscriptions = SubscriptionStore(bucket, s3)
        links = FileLinks(None)
        claims = Claims(bucket, s3, kernel.clock)
        queue: Any = SimulatedQueue(kernel, self._handle_callbacks, self._bury_callback)
        self.queue: SimulatedQueue = queue
        sender: Any = SimulatedServers(kernel, deliveries)
        self._worker = Worker(
            subscriptions=subscriptions,
            claims=claims,
            outbox=Outbox("https://sqs.example/callbacks", queue),
            sender=sender,
            keys=KEYS,
            links=links,
            public_url=PUBLIC_URL,
        )
        ses: Any = SimulatedSes(kernel, deliveries)
        settings = MailSettings(
            bucket=bucket,
            mail_from="urlshot@example.com",
            mail_to=OPERATOR if operator else "",
            public_url=PUBLIC_URL,
        )
        self._make_mailer = lambda: Mailer(settings, ses, claims, subscriptions, links)
        self._mailers: list[Mailer] = []
        """The mailers of the execution environments that handle nothing now; Lambda uses them again."""
        self.targets: dict[str, Target] = {"mail": self._mail, "callback": self._queue_event}

    def _name(self, what: str) -> str:
        self._numbers[what] = number = self._numbers.get(what, 0) + 1
        return f"{what} {number}"

    # ---- mail -------------------------------------------------------------------------------------------------------

    def _mail(self, text: str, detail: dict[str, Any], attempt: int = 0) -> None:
        kernel, name, began = self._kernel, self._name("mail"), self._kernel.now
        mailer = self._mailers.pop() if self._mailers else self._make_mailer()

        def run() -> None:
            thread = kernel.current()
            thread.event, thread.process.state["mailer"] = detail, mailer
            mail_app.handler({"id": name, "detail": detail}, self._context(thread.process))
            self._deliveries.handled(thread)

        def ended(error: BaseException | None, _: Any) -> None:
            judge(name, error)
            if not isinstance(error, Killed):
                self._mailers.append(mailer)
            if error is None:
                return
            if attempt < len(RETRY_SECONDS):
                kernel.after(RETRY_SECONDS[attempt], lambda: self._mail(text, detail, attempt + 1))
            else:
                kernel.say(name, "its event goes to the queue of undelivered events")
                self._deliveries.given_up(began, "mail", detail)

        kernel.spawn(name, run, MAIL_SECONDS, ended)

    # ---- callback ---------------------------------------------------------------------------------------------------

    def _queue_event(self, text: str, _: dict[str, Any]) -> None:
        self.queue.put(f'{{"source": "urlshot", "detail": {text}}}')

    def _handle_callbacks(self, batch: list[Message], handled: Callable[[set[str] | None], None]) -> None:
        event = {
            "Records": [
                {
                    "messageId": one.id,
                    "receiptHandle": one.id,
                    "body": one.body,
                    "attributes": {"ApproximateReceiveCount": str(one.received)},
                }
                for one in batch
            ]
        }

        def run() -> set[str]:
            process = self._kernel.current().process
            process.state["worker"] = self
            answer = callback_app.handler(event, self._context(process))
            return {one["itemIdentifier"] for one in answer["batchItemFailures"]}

        name = self._name("callback")

        def ended(error: BaseException | None, left: Any) -> None:
            judge(name, error)
            handled(None if error is not None else left)

        self._kernel.spawn(name, run, CALLBACK_SECONDS, ended)

    def settle(self, record: dict[str, Any], context: Any) -> bool:
        """Handles one message with the real worker, and notes what it sent."""
        thread = self._kernel.current()
        thread.event, thread.sent = from_json(record["body"]).get("event", {}), []
        done = self._worker.settle(record, context)
        if done:
            self._deliveries.handled(thread)
        return done

    def _bury_callback(self, body: str, began: float) -> None:
        message = from_json(body)
        if "detail" in message:
            self._deliveries.given_up(began, "callback", message["detail"])
        else:
            to = Subscriber.model_validate(message["subscriber"])
            self._deliveries.given_up(began, f"{to.kind}-{to.hash}", message["event"])

    def _context(self, process: Process) -> Any:
        kernel = self._kernel
        return SimpleNamespace(get_remaining_time_in_millis=lambda: max(0, int((process.deadline - kernel.now) * 1000)))
