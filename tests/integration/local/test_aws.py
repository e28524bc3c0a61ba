"""Tests the stand-in for AWS and the delivery of its events: writes, mails, rules, queues and schedules."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from infra.local.aws.client import AwsClient
from infra.local.aws.process import AwsProcess
from infra.local.cloudformation import create_resources
from infra.local.functions.async_events import AsyncEvents, TooLarge
from infra.local.functions.instance import Answer
from infra.local.host.processes import become_subreaper
from infra.local.sources.bus import create_rule, follow_rule, rule_queue
from infra.local.sources.schedules import follow_schedule
from infra.local.sources.sqs import QueueSender, SqsPoller
from infra.local.template.addresses import ACCOUNT, queue_arn
from infra.local.template.model import (
    Application,
    Asynchronous,
    Destination,
    Queue,
    QueueRule,
    Rule,
    Schedule,
    SqsMapping,
)

NOTHING = Application(
    functions={}, layers={}, api=None, mappings=(), sqs_mappings=(), rules=(), queue_rules=(), schedules=(),
    custom_resources=(), secrets=(), buckets=(), queues=(), buses=(), broker=None, parameters={},
)  # fmt: skip


def redrive(queue: str, receives: int) -> str:
    return json.dumps({"deadLetterTargetArn": queue_arn(queue), "maxReceiveCount": receives})


pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Aws:
    url: str
    mails: Path
    client: AwsClient

    def boto(self, service: Any) -> Any:
        session = boto3.session.Session(
            aws_access_key_id="AKIALOCAL", aws_secret_access_key="local", region_name="us-east-1"
        )
        return session.client(service, endpoint_url=self.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    become_subreaper()
    mails = tmp_path_factory.mktemp("mails")
    process = AwsProcess(mails, lambda _line: None)
    await process.start()
    client = AwsClient(process.url)
    yield Aws(process.url, mails, client)
    await client.close()
    await process.end()


async def test_one_of_several_conditional_creations_succeeds(aws: Aws) -> None:
    await aws.client.create_bucket("conditional")
    clients = [await asyncio.to_thread(aws.boto, "s3") for _ in range(6)]

    def create(client: Any) -> int:
        won = 0
        for key in range(10):
            try:
                client.put_object(Bucket="conditional", Key=f"k{key}", Body=b"x", IfNoneMatch="*")
                won += 1
            except ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed"
        return won

    with ThreadPoolExecutor(6) as pool:
        wins = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(pool, create, item) for item in clients)
        )
    assert sum(wins) == 10


async def test_long_poll_does_not_delay_other_calls(aws: Aws) -> None:
    url = (await aws.client.call("sqs", "CreateQueue", QueueName="empty"))["QueueUrl"]
    poll = asyncio.create_task(aws.client.call("sqs", "ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
    await asyncio.wait_for(aws.client.create_bucket("meanwhile"), 5)
    assert not poll.done()
    await aws.client.call("sqs", "SendMessage", QueueUrl=url, MessageBody="now")
    assert (await asyncio.wait_for(poll, 10))["Messages"][0]["Body"] == "now"


async def test_mail_is_in_a_file_when_ses_answers(aws: Aws) -> None:
    await aws.client.verify_sender("from@example.com")
    ses = await asyncio.to_thread(aws.boto, "sesv2")
    await asyncio.to_thread(
        ses.send_email,
        FromEmailAddress="from@example.com",
        Destination={"ToAddresses": ["to@example.com"]},
        Content={"Simple": {"Subject": {"Data": "Zoë's page"}, "Body": {"Text": {"Data": "It is thére."}}}},
    )
    (file,) = aws.mails.glob("*.eml")
    text = file.read_text("utf-8")
    assert "To: to@example.com" in text
    assert "Subject: Zoë's page" in text
    assert "It is thére." in text


async def test_unverified_sender_is_refused(aws: Aws) -> None:
    ses = await asyncio.to_thread(aws.boto, "sesv2")
    with pytest.raises(ClientError):
        await asyncio.to_thread(
            ses.send_email,
            FromEmailAddress="stranger@example.com",
            Destination={"ToAddresses": ["to@example.com"]},
            Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "b"}}}},
        )


async def test_matching_event_reaches_the_function_and_is_retried(
    aws: Aws, module_harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.functions.async_events.RETRY_SECONDS", (0.01, 0.01))
    lambdas = module_harness.lambdas("probe.detail")
    await aws.client.call("events", "CreateEventBus", Name="bus")
    rule = Rule("ProbeEnded", "Probe", "bus", {"source": ["urlshot"], "detail-type": ["ShotCompleted"]}, None)
    await create_rule(aws.client, rule)
    following = asyncio.create_task(follow_rule(rule, aws.url, aws.client, lambdas, print))
    entries = [
        {"EventBusName": "bus", "Source": source, "DetailType": "ShotCompleted", "Detail": json.dumps(detail)}
        for source, detail in (
            ("somebody else", {"do": "count", "file": str(tmp_path / "other"), "failures": 0}),
            ("urlshot", {"do": "count", "file": str(tmp_path / "ours"), "failures": 1}),
        )
    ]
    put = await aws.client.call("events", "PutEvents", Entries=entries)
    assert put["FailedEntryCount"] == 0
    async with asyncio.timeout(15):
        while not (tmp_path / "ours").exists() or (tmp_path / "ours").read_text("utf-8") != "2":
            await asyncio.sleep(0.02)
    following.cancel()
    assert not (tmp_path / "other").exists()
    assert module_harness.printed.empty()  # no event was given up


class Picky:
    """Stands in for the functions: records each batch, and reports its bad messages as failed."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()

    async def invoke_in_turn(self, _name: str, payload: bytes) -> Answer:
        records = json.loads(payload)["Records"]
        self.batches.put_nowait(records)
        failed = [{"itemIdentifier": one["messageId"]} for one in records if "bad" in one["body"]]
        return Answer(json.dumps({"batchItemFailures": failed}).encode(), None, "r")


async def test_event_reaches_the_function_through_a_queue_and_is_retried(aws: Aws) -> None:
    await aws.client.call("events", "CreateEventBus", Name="queued")
    queues = [
        Queue("work", queue_arn("work"), {"VisibilityTimeout": "1", "RedrivePolicy": redrive("dead", 2)}, "dead"),
        Queue("dead", queue_arn("dead"), {}, None),
    ]
    rule = QueueRule("Queued", "queued", {"source": ["urlshot"]}, (queue_arn("work"),))
    application = replace(NOTHING, queues=tuple(queues), queue_rules=(rule,))
    await create_resources(application, {}, aws.client, ())
    picky = Picky()
    mapping = SqsMapping("Probe", queue_arn("work"), 10, partial=True, concurrency=2)
    polling = asyncio.create_task(SqsPoller(mapping, aws.url, aws.client, picky, print).run())  # type: ignore[arg-type]
    entries = [
        {"EventBusName": "queued", "Source": "urlshot", "DetailType": "X", "Detail": json.dumps({"is": word})}
        for word in ("good", "bad")
    ]
    await aws.client.call("events", "PutEvents", Entries=entries)
    seen: list[tuple[str, str]] = []
    while len(seen) < 3:
        for record in await asyncio.wait_for(picky.batches.get(), 10):
            seen.append((json.loads(record["body"])["detail"]["is"], record["attributes"]["ApproximateReceiveCount"]))
            assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", queue_arn("work"))
    assert sorted(seen) == [("bad", "1"), ("bad", "2"), ("good", "1")]
    letters = await aws.client.call("sqs", "ReceiveMessage", QueueUrl=f"{aws.url}/{ACCOUNT}/dead", WaitTimeSeconds=10)
    assert [json.loads(one["Body"])["detail"] for one in letters["Messages"]] == [{"is": "bad"}]
    polling.cancel()


async def test_record_reaches_the_queue_of_a_destination(aws: Aws, module_harness: Any) -> None:
    await aws.client.call("sqs", "CreateQueue", QueueName="letters")
    sender, said = QueueSender(aws.url, aws.client), asyncio.Queue[str]()
    settings = Asynchronous(retries=0, on_failure=Destination("SQS", queue_arn("letters")))
    events = AsyncEvents(
        module_harness.lambdas().functions,
        {"Probe": settings},
        to_queue=sender.send,
        listener=lambda _name, _line: None,
        say=said.put_nowait,
    )
    request_id = events.accept("Probe", b'{"do": "fail"}')
    received = await aws.client.call(
        "sqs", "ReceiveMessage", QueueUrl=f"{aws.url}/{ACCOUNT}/letters", WaitTimeSeconds=10
    )
    record = json.loads(received["Messages"][0]["Body"])
    assert record["requestContext"]["requestId"] == request_id
    assert record["responsePayload"]["errorType"] == "ValueError"
    await aws.client.call("sqs", "DeleteQueue", QueueUrl=f"{aws.url}/{ACCOUNT}/letters")
    request_id = events.accept("Probe", b'{"do": "fail"}')
    assert request_id in await asyncio.wait_for(said.get(), 30)
    await events.end()


async def test_event_too_large_for_lambda_does_not_delay_others(aws: Aws) -> None:
    rule = Rule("Large", "Probe", "large", {"source": ["urlshot"]}, None)
    await aws.client.call("events", "CreateEventBus", Name="large")
    await create_rule(aws.client, rule)
    said, heard = asyncio.Queue[str](), asyncio.Queue[bytes]()

    class SizeLimited:
        def invoke_async(self, _name: str, payload: bytes) -> str:
            if b"large" in payload:
                raise TooLarge("Request must be smaller")
            heard.put_nowait(payload)
            return "r"

    following = asyncio.create_task(
        follow_rule(rule, aws.url, aws.client, SizeLimited(), said.put_nowait)  # type: ignore[arg-type]
    )
    for size in ("large", "small"):
        await aws.client.call(
            "sqs", "SendMessage", QueueUrl=f"{aws.url}/{ACCOUNT}/{rule_queue(rule)}", MessageBody=size
        )
    assert await asyncio.wait_for(heard.get(), 30) == b"small"
    assert "rule Large: an event is lost: Request must be smaller" in await asyncio.wait_for(said.get(), 30)
    following.cancel()


async def test_schedule_fires() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener:
        def invoke_async(self, _name: str, payload: bytes) -> str:
            heard.put_nowait(payload)
            return "r"

    task = asyncio.create_task(follow_schedule(Schedule("S", "Probe", 0.05, {"k": "v"}), Listener()))  # type: ignore[arg-type]
    for _ in range(2):
        assert json.loads(await asyncio.wait_for(heard.get(), 5)) == {"k": "v"}
    task.cancel()
