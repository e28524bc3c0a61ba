"""A workbench for dispatch: a worker with real S3, EventBridge and RabbitMQ, and a renderer that is played."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
from functions.dispatch.renderer import Renderer
from functions.dispatch.work import Policy, Worker

from functions.dispatch.batch import Delivery
from tests.integration.conftest import API, DELAYS, DISPATCH, Broker
from urlshot import records
from urlshot.accept import Door, Outcome, Request
from urlshot.bus import Bus
from urlshot.egress import Egress
from urlshot.errors import Transient, UrlshotError
from urlshot.identity import job_id
from urlshot.jobs import RenderAnswer, RenderJob, Report
from urlshot.messages import COMPLETED, EXCHANGE, FAILED, QUEUE
from urlshot.options import Options
from urlshot.store import Store

URL = "https://example.com/"
ID = job_id(URL, {})


class PlayedRenderer(Renderer):
    """Answers from a list; the last one again and again. Stores the PDF that it says it made."""

    def __init__(self, bucket: str, answers: list[Report | UrlshotError]) -> None:
        self._answers = answers
        self._bucket = bucket
        self.jobs: list[RenderJob] = []

    def render(self, job: RenderJob, throttle_seconds: float) -> RenderAnswer:
        self.jobs.append(job)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Transient) and answer.code.name in ("throttled", "crash", "timeout"):
            raise answer
        if isinstance(answer, UrlshotError):
            return RenderAnswer(id=job.id, generation=job.generation, error=answer.public())
        boto3.client("s3").put_object(Bucket=self._bucket, Key=f"pdf/{job.id}.pdf", Body=b"%PDF-1.4")
        return RenderAnswer(id=job.id, generation=job.generation, report=answer)


class ListenedBus:
    """A bus of the test's own, whose events go to a queue of its own."""

    def __init__(self) -> None:
        self.name = f"bus-{uuid.uuid4().hex}"
        events, sqs = boto3.client("events"), boto3.client("sqs")
        events.create_event_bus(Name=self.name)
        self._queue = sqs.create_queue(QueueName=self.name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        events.put_rule(Name=self.name, EventBusName=self.name, EventPattern=json.dumps({"source": ["urlshot"]}))
        target = {"Id": "1", "Arn": attributes["QueueArn"]}
        events.put_targets(Rule=self.name, EventBusName=self.name, Targets=[target])

    def events(self) -> list[dict[str, Any]]:
        """What was put on it since the last look."""
        sqs, found = boto3.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found


class Bench:
    """A worker, a job in its queue, and eyes on all that leaves it."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self.store = store
        self.broker = broker
        self._listened = ListenedBus()
        self.bus = self._listened.name
        self.now = records.now()
        self.renderer: PlayedRenderer
        self._completions = f"completions-{uuid.uuid4().hex}"
        broker.channel.queue_declare(self._completions, exclusive=True)
        for key in (COMPLETED, FAILED):
            broker.channel.queue_bind(self._completions, EXCHANGE, key)

    def clock(self) -> datetime:
        return self.now

    def worker(self, *answers: Report | UrlshotError, wrap: Callable[[Any], Any] = lambda part: part) -> Worker:
        self.renderer = PlayedRenderer(self.store.bucket, list(answers))
        store, publisher = wrap(self.store), wrap(self.broker.publisher(DISPATCH))
        policy = Policy(Egress(), max_age=600, max_attempts=3, delays=DELAYS, render_timeout=30)
        door = Door(store, publisher, 1, self.clock)
        return Worker(store, publisher, door, wrap(Bus(self.bus)), wrap(self.renderer), policy, self.clock)

    def queue_job(self) -> Delivery:
        publisher = self.broker.publisher(API)
        accepted = Door(self.store, publisher, 1).accept(Request(ID, URL, Options(), 600, self.now), 10)
        assert accepted.outcome is Outcome.QUEUED
        publisher.close()
        return self.next(QUEUE)

    def next(self, queue: str) -> Delivery:
        [message] = self.broker.take(queue)
        return Delivery(QUEUE, bytes(message.body) if isinstance(message.body, bytes) else message.body.encode(), False)

    def record(self) -> records.Record:
        found = self.store.read(ID)
        assert found is not None
        return found[0]

    def completions(self) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.broker.take(self._completions)]

    def events(self) -> list[dict[str, Any]]:
        return self._listened.events()
