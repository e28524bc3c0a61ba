"""A workbench for dispatch and settle: RabbitMQ, moto's S3 and EventBridge, and a stand-in for Lambda between the two.

bench.queue_job() ──▶ bench.dispatch(delivery) ──▶ bench.jobs ──▶ bench.rendered(job) ──▶ bench.settle(event)
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import boto3

from functions.dispatch.app import Dispatcher
from functions.dispatch.bare import BareMessages
from functions.dispatch.batch import Delivery
from functions.dispatch.handover import HandOver
from functions.dispatch.invoke import Renderer
from functions.settle.invocation import read
from functions.settle.settle import Settler
from tests.integration.conftest import API, DELAYS, DISPATCH, LEASE, RENDER_TIMEOUT, SETTLE, Broker, delays_of
from urlshot.adapters.bus import Bus
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Store, upload_key
from urlshot.core import records
from urlshot.core.egress import Egress
from urlshot.core.errors import UrlshotError
from urlshot.core.identity import job_id
from urlshot.core.messages import COMPLETED, EXCHANGE, FAILED, QUEUE, QUEUES
from urlshot.core.options import Options
from urlshot.core.records import Bounds
from urlshot.core.render_contract import RenderAnswer, RenderJob, Report
from urlshot.lifecycle.accept import Acceptor, Outcome, Request
from urlshot.lifecycle.announce import Announcer
from urlshot.lifecycle.parking import Parking

URL = "https://example.com/"
ID = job_id(URL, {})
ATTEMPTS = 3
Wrap = Callable[[Any], Any]


def _unwrapped(part: Any) -> Any:
    return part


class PlayedLambda(Renderer):
    """Stands in for Lambda: collects the jobs that dispatch hands over, or raises `error` if there is one."""

    def __init__(self, jobs: list[RenderJob], error: UrlshotError | None) -> None:
        self._jobs = jobs
        self._error = error

    def hand_over(self, job: RenderJob) -> None:
        if self._error is not None:
            raise self._error
        self._jobs.append(RenderJob.model_validate_json(job.model_dump_json()))


class ListenedBus:
    """A new event bus with a rule that sends its events to a new queue."""

    def __init__(self) -> None:
        self.name = f"bus-{uuid.uuid4().hex}"
        events, self._sqs = boto3.client("events"), boto3.client("sqs")
        events.create_event_bus(Name=self.name)
        self._queue = self._sqs.create_queue(QueueName=self.name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        events.put_rule(Name=self.name, EventBusName=self.name, EventPattern=json.dumps({"source": ["urlshot"]}))
        target = {"Id": "1", "Arn": attributes["QueueArn"]}
        events.put_targets(Rule=self.name, EventBusName=self.name, Targets=[target])

    def events(self) -> list[dict[str, Any]]:
        """Returns the events that were put on the bus since the last call."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found


class Bench:
    """Runs dispatch and settle on one job, and gives access to all their outputs. Their clock shows `now`."""

    def __init__(self, store: Store, broker: Broker, renders: int = 4) -> None:
        self.store = store
        self.broker = broker
        self.renders = renders
        self.s3 = boto3.client("s3")
        self._listened = ListenedBus()
        self.bus = self._listened.name
        self.now = records.now()
        self.jobs: list[RenderJob] = []
        self.lambda_error: UrlshotError | None = None
        self._completions = f"completions-{uuid.uuid4().hex}"
        broker.channel.queue_declare(self._completions, exclusive=True)
        for key in (COMPLETED, FAILED):
            broker.channel.queue_bind(self._completions, EXCHANGE, key)

    def clock(self) -> datetime:
        return self.now

    def pass_lease(self) -> None:
        """Moves the clock behind the leases of all claims and slots; the age of a slot is that of moto's clock."""
        self.now = max(self.now, records.now()) + timedelta(seconds=LEASE + 1)

    # ---- the two functions ------------------------------------------------------------------------------------------

    def slots(self) -> Slots:
        return Slots(self.store.bucket, self.store._s3, "slot", self.renders, timedelta(seconds=LEASE), self.clock)

    def dispatcher(self, wrap: Wrap = _unwrapped) -> Dispatcher:
        store, publisher = wrap(self.store), wrap(self.broker.publisher(DISPATCH))
        parking = Parking(publisher, DELAYS, LEASE)
        announcer = Announcer(store, publisher, wrap(Bus(self.bus)), parking)
        slots = wrap(self.slots())
        hand_over = HandOver(
            store=store,
            slots=slots,
            announcer=announcer,
            parking=parking,
            renderer=wrap(PlayedLambda(self.jobs, self.lambda_error)),
            bounds=Bounds(ATTEMPTS, timedelta(hours=24)),
            render_timeout=RENDER_TIMEOUT,
            clock=self.clock,
        )
        bare = BareMessages(store, Acceptor(store, publisher, self.clock), announcer, Egress(), 600, self.clock)
        return Dispatcher(slots, bare, hand_over, announcer, parking, threads=8)

    def dispatch(self, *deliveries: Delivery, wrap: Wrap = _unwrapped) -> list[str]:
        """Handles one batch and returns the outcomes; those of redelivered messages come last."""
        return [one.outcome for one in self.dispatcher(wrap).handle(list(deliveries), lambda: 100.0)]

    def settle(self, event: dict[str, Any], wrap: Wrap = _unwrapped) -> str:
        """Settles one invocation and returns the outcome."""
        store, publisher = wrap(self.store), wrap(self.broker.publisher(SETTLE))
        parking = Parking(publisher, DELAYS, LEASE)
        announcer = Announcer(store, publisher, wrap(Bus(self.bus)), parking)
        settler = Settler(store, wrap(self.slots()), announcer, parking, ATTEMPTS, self.clock)
        return settler.settle(read(event)).outcome

    # ---- the result of a render -------------------------------------------------------------------------------------

    def rendered(self, job: RenderJob, outcome: Report | UrlshotError, pdf: bytes = b"%PDF-1.4") -> dict[str, Any]:
        """Returns Lambda's record of the render; uploads a PDF as render does, unless the outcome is an error."""
        if isinstance(outcome, UrlshotError):
            return record_of(job, RenderAnswer(id=job.id, generation=job.generation, error=outcome.public()))
        report = outcome.model_copy(update={"sha256": hashlib.sha256(pdf).hexdigest()})
        key = upload_key(job.id, job.claim)
        etag = self.s3.put_object(Bucket=self.store.bucket, Key=key, Body=pdf)["ETag"]
        return record_of(job, RenderAnswer(id=job.id, generation=job.generation, report=report, etag=etag))

    # ---- the job and its announcements ------------------------------------------------------------------------------

    def queue_job(self) -> Delivery:
        """Queues the job as the API does, and takes its message."""
        publisher = self.broker.publisher(API)
        accepted = Acceptor(self.store, publisher, self.clock).accept(Request(ID, URL, Options(), 600, self.now), 10)
        assert accepted.outcome is Outcome.QUEUED
        publisher.close()
        return self.next(QUEUE)

    def next(self, queue: str) -> Delivery:
        """Takes the only message of a queue."""
        [delivery] = self.waiting(queue)
        return delivery

    def waiting(self, *queues: str) -> list[Delivery]:
        """Takes the messages of `queues`, or of all work and delay queues, as deliveries of their work queues."""
        found = []
        for work in QUEUES.values():
            for queue in (work, *delays_of(work)):
                if not queues or queue in queues:
                    found += [Delivery(work, _body(message), False) for message in self.broker.take(queue)]
        return found

    def record(self) -> records.Record:
        found = self.store.read(ID)
        assert found is not None
        return found[0]

    def delete(self) -> None:
        """Deletes the job as `DELETE /pdf/<id>` does."""
        for key in (f"pdf/{ID}.pdf", f"job/{ID}.json"):
            self.s3.delete_object(Bucket=self.store.bucket, Key=key)

    def pdf(self) -> bytes | None:
        """Returns the published PDF, or None if there is none."""
        try:
            return self.s3.get_object(Bucket=self.store.bucket, Key=f"pdf/{ID}.pdf")["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def slots_free(self) -> int:
        return len(self.slots().list_free())

    def completions(self) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.broker.take(self._completions)]

    def events(self) -> list[dict[str, Any]]:
        return self._listened.events()


def _body(message: Any) -> bytes:
    return message.body.encode() if isinstance(message.body, str) else bytes(message.body)


def record_of(
    job: RenderJob, answer: RenderAnswer | dict[str, Any] | None, condition: str = "Success", error: str | None = None
) -> dict[str, Any]:
    """Returns Lambda's record of an invocation of render, as it reaches a destination.

    Source: Lambda developer guide, "Capturing records of Lambda asynchronous invocations".
    """
    payload = answer.model_dump(mode="json", exclude_none=True) if isinstance(answer, RenderAnswer) else answer
    event: dict[str, Any] = {
        "version": "1.0",
        "requestContext": {"requestId": str(uuid.uuid4()), "condition": condition, "approximateInvokeCount": 1},
        "requestPayload": json.loads(job.model_dump_json()),
    }
    if payload is not None:
        event["responseContext"] = {"statusCode": 200, **({"functionError": error} if error else {})}
        event["responsePayload"] = payload
    return event


def never_started(job: RenderJob) -> dict[str, Any]:
    """Returns the record of an event that expired before Lambda could run render."""
    return record_of(job, None, "EventAgeExceeded")


def killed(job: RenderJob) -> dict[str, Any]:
    """Returns the record of an invocation whose process was killed."""
    text = "RequestId: 1 Error: Runtime exited with error: signal: killed"
    return record_of(job, {"errorType": "Runtime.ExitError", "errorMessage": text}, "RetriesExhausted", "Unhandled")
