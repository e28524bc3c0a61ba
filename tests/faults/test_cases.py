"""The sample has every fault at every stage, and what passes a proxy is recognised as the stage that it is."""

from __future__ import annotations

import json

import amqp
import pytest

from tests.faults.armory import MINUTES
from tests.faults.cases import FROZEN_FOR_MINUTES, in_order, pairs, pairwise, whole_product
from tests.faults.stages import AMQP_STAGES, AWS_STAGES, Request, job_of, stage_of, stages_received, stages_sent
from urlshot.adapters.claims import Answers, Claim
from urlshot.core.records import now


def test_sample_has_all_pairs_of_the_whole_product() -> None:
    product = whole_product()
    sample = pairwise(product, 7)
    assert set().union(*map(pairs, sample)) == set().union(*map(pairs, product))
    assert len(sample) < len(product) / 3
    assert sample == pairwise(product, 7) and sample != pairwise(product, 8)


def test_each_sample_begins_with_a_function_that_is_stopped_for_minutes() -> None:
    drawn = in_order(pairwise(whole_product(), 7), 7)
    assert [case.stage for case in drawn if case.fault == MINUTES] == [case.stage for case in drawn[:5]]
    assert {case.stage for case in drawn[:5]} == set(FROZEN_FOR_MINUTES)
    assert drawn == in_order(pairwise(whole_product(), 7), 7) != in_order(pairwise(whole_product(), 8), 8)


def put(key: str, body: object) -> Request:
    return Request("PUT", f"/bucket/{key}", {}, json.dumps(body).encode())


def written(key: str, value: Claim | Answers) -> Request:
    """Returns the write of a claim, as `urlshot.adapters.claims` makes it."""
    return Request("PUT", f"/bucket/claim/{key}.json", {}, value.model_dump_json().encode())


JOB = "a" * 40
EVENT = f"{JOB}:generation:done"
MAIL = Request(
    "POST", "/v2/email/outbound-emails", {}, json.dumps({"Text": f"x\nJob:   http://a/pdf/{JOB}\n"}).encode()
)


@pytest.mark.parametrize(
    ("request_", "stage"),
    [
        (Request("HEAD", "/bucket/pdf/1.pdf", {}, b""), "look"),
        (put("job/1.json", {"state": "publishing"}), "created"),
        (put("job/1.json", {"state": "queued"}), "queued"),
        (put("job/1.json", {"state": "queued", "not_before": "2026"}), "retried"),
        (put("job/1.json", {"state": "running"}), "claimed"),
        (put("job/1.json", {"state": "done", "announced": False}), "ended done"),
        (put("job/1.json", {"state": "failed", "announced": False}), "ended failed"),
        (put("job/1.json", {"state": "failed", "announced": True}), "announced"),
        (Request("GET", "/bucket/job/1.json", {}, b""), "read"),
        (Request("GET", "/bucket?list-type=2&prefix=slot%2F", {}, b""), "slots"),
        (Request("GET", "/bucket?list-type=2&prefix=sub%2F", {}, b""), "subscribers"),
        (Request("POST", "/bucket?delete", {}, b"<Delete/>"), "unsubscribed"),
        (put("slot/1", {}), "slot"),
        (Request("DELETE", "/bucket/slot/1", {}, b""), "freed"),
        (Request("PUT", "/bucket/pdf/1.pdf", {"x-amz-copy-source": "/bucket/upload/1/2.pdf"}, b""), "published"),
        (Request("POST", "/bucket", {"content-type": "multipart/form-data; boundary=x"}, b""), "upload"),
        (Request("POST", "/2015-03-31/functions/RenderFunction/invocations", {}, b""), "invoke"),
        (Request("POST", "/", {"x-amz-target": "AWSEvents.PutEvents"}, b""), "bus"),
        (Request("POST", "/", {"x-amz-target": "secretsmanager.GetSecretValue"}, b""), "secret"),
        (written("callback/h/name", Claim(event=EVENT, until=now())), "callback.claimed"),
        (written("callback/h/name", Claim(event=EVENT, sent=True)), "callback.noted"),
        (written(f"callback/h/{EVENT.replace(':', '-')}", Answers(subscriptions=("s",))), "callback.claimed"),
        (written(f"mail/operator/{EVENT.replace(':', '-')}", Claim(event=EVENT, until=now())), "mail.claimed"),
        (written(f"mail/operator/{EVENT.replace(':', '-')}", Claim(event=EVENT, sent=True)), "mail.noted"),
        (MAIL, "mail"),
    ],
)
def test_request_is_recognised_as_its_stage(request_: Request, stage: str) -> None:
    assert stage_of(request_) == stage
    assert stage in AWS_STAGES


@pytest.mark.parametrize(
    ("request_", "job"),
    [
        (written("callback/h/name", Claim(event=EVENT, sent=True)), JOB),
        (written(f"callback/h/{EVENT.replace(':', '-')}", Answers(subscriptions=("s",))), JOB),
        (written(f"mail/operator/{EVENT.replace(':', '-')}", Claim(event=EVENT)), JOB),
        (MAIL, JOB),
        (put("slot/1", {}), ""),
        (Request("PUT", "/bucket/claim/callback/h/name.json", {}, b"[1]"), "name"),
    ],
)
def test_request_of_a_consumer_names_its_job(request_: Request, job: str) -> None:
    assert job_of(request_) == job


def published(exchange: str, key: str) -> bytes:
    """Returns the frames of a publish, as the client library writes them."""
    sent: list[bytes] = []

    class Socket:
        def write(self, data: bytes) -> None:
            sent.append(bytes(data))

    connection = amqp.Connection()
    connection.transport = Socket()
    write = amqp.method_framing.frame_writer(connection, connection.transport)
    arguments = amqp.serialization.dumps("Bssbb", (0, exchange, key, True, False))
    write(1, 1, (60, 40), arguments, amqp.Message(b'{"url": "http://page/"}', delivery_mode=2))
    return b"".join(sent)


@pytest.mark.parametrize(
    ("exchange", "key", "stages"),
    [
        ("shot_direct", "shot_direct.start", ("sent",)),
        ("shot_direct", "shot_direct.start.bulk", ("sent",)),
        ("shot_direct", "shot_direct.completed", ("completion",)),
        ("shot_direct", "shot_direct.failed", ("completion",)),
        ("", "generate_shot_retry_5s", ("parked",)),
        ("", "generate_shot_bulk_retry_195s", ("parked",)),
        ("", "generate_shot_dead", ("buried",)),
        ("", "generate_shot", ()),
    ],
)
def test_publish_is_recognised_as_its_stage(exchange: str, key: str, stages: tuple[str, ...]) -> None:
    assert stages_sent(published(exchange, key)) == stages
    assert set(stages) <= set(AMQP_STAGES)


def test_delivery_and_acknowledgement_are_recognised() -> None:
    assert stages_sent(b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50" + bytes(9) + b"\xce") == ("acknowledged",)
    assert stages_received(b"\x01\x00\x01\x00\x00\x00\x40\x00\x3c\x00\x3c" + bytes(50)) == ("delivered",)
    assert stages_received(b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50" + bytes(9) + b"\xce") == ()
