"""Fixtures: one RabbitMQ node and one moto server for all integration tests, and a bucket and empty queues for each."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import amqp
import boto3
import pytest

from functions.topology.description import Users, Wanted, describe
from functions.topology.management import Management
from infra.local.broker.rabbitmq import Rabbit
from tests.deployment.guard import Guard
from tests.deployment.whole import deployment
from urlshot.adapters.aws import _session as aws_session
from urlshot.adapters.broker import Publisher
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import Credentials
from urlshot.adapters.store import Store
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import DEAD, QUEUES, delay_queue
from urlshot.core.render_contract import Report
from urlshot.lifecycle.accept import Acceptor

PROJECT = Path(__file__).resolve().parents[2]
ADMIN = Credentials("urlshot_admin", "admin-password")
API = Credentials("urlshot_api", "api-password")
DISPATCH = Credentials("urlshot_dispatch", "dispatch-password")
SETTLE = Credentials("urlshot_settle", "settle-password")
WATCH = Credentials("urlshot_watch", "watch-password")
DELAYS = (1, 2)
RENDER_TIMEOUT = 30
LEASE = lease_seconds(RENDER_TIMEOUT)
TICK = 100
"""Milliseconds between two updates of a queue's statistics."""


@dataclass(frozen=True)
class Broker:
    """A broker with urlshot's topology, and an administrator's channel to inspect it."""

    url: str
    channel: amqp.Channel
    restart_channel: Callable[[], amqp.Channel]

    def publisher(self, user: Credentials = DISPATCH) -> Publisher:
        return Publisher(self.url, lambda: user)

    def take(self, queue: str) -> list[amqp.Message]:
        """Takes all messages of a queue, and acknowledges them."""
        found = []
        while (message := self.channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found


@pytest.fixture(scope="session")
def loop_in_background() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Returns a function that runs coroutines on a loop of its own, which outlives the loop of each test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(100)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture(scope="session")
def rabbit(
    tmp_path_factory: pytest.TempPathFactory, loop_in_background: Callable[[Coroutine[Any, Any, Any]], Any]
) -> Iterator[Rabbit]:
    async def start() -> Rabbit:
        node = Rabbit(tmp_path_factory.mktemp("broker") / "node", lambda _: None, TICK)
        await node.start(ADMIN.username, ADMIN.password)
        return node

    node = loop_in_background(start())
    yield node
    loop_in_background(node.stop())


@pytest.fixture(scope="session")
def topology(rabbit: Rabbit) -> Rabbit:
    """Returns the node after the calls of the topology function have declared everything on it."""
    wanted = Wanted(RetryDelays=DELAYS, RenderTimeout=RENDER_TIMEOUT, QueueLimit=1000, BrokerConnections=1000)
    management = Management(rabbit.console, ADMIN)
    for call in describe(wanted, Users(api=API, dispatch=DISPATCH, settle=SETTLE, watch=WATCH)):
        management.carry_out(call)
    return rabbit


@pytest.fixture
def broker(topology: Rabbit) -> Iterator[Broker]:
    """Returns the broker with empty queues."""

    def open_channel() -> amqp.Channel:
        connection = amqp.Connection(
            f"127.0.0.1:{topology.amqp_port}", ADMIN.username, ADMIN.password, confirm_publish=True
        )
        connection.connect()
        return connection.channel()

    channel = open_channel()
    for queue in (DEAD, *QUEUES.values(), *(name for work in QUEUES.values() for name in delays_of(work))):
        channel.queue_purge(queue)
    yield Broker(topology.amqp, channel, open_channel)
    channel.connection.close()


def delays_of(queue: str) -> list[str]:
    """Returns the delay queues of a work queue; the last one is for the lease."""
    return [delay_queue(queue, seconds) for seconds in (*DELAYS, LEASE)]


@pytest.fixture(scope="session")
def guard() -> Guard:
    """Refuses every AWS call of a function's code that its role does not allow, in all integration tests."""
    return _guard()


@cache  # tests/conformance imports the fixture, and boto3 cannot be set up twice for one session
def _guard() -> Guard:
    boto3.setup_default_session(botocore_session=aws_session())  # so that all clients come from the guarded session
    guard = Guard(deployment())
    guard.watch(boto3.DEFAULT_SESSION.events)
    return guard


@pytest.fixture(scope="session")
def aws(guard: Guard) -> Iterator[str]:
    """Starts moto's server and points boto3 to it alone; returns its URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "infra.local.aws.server", "--port", "0"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    endpoint = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield endpoint
    server.terminate()
    server.wait(10)


@pytest.fixture
def store(aws: str) -> Store:
    """Returns the store on a new bucket."""
    bucket = f"test-{uuid.uuid4().hex}"
    client = s3_client(pool=50)
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Store(bucket, client)


@pytest.fixture
def acceptor(store: Store, broker: Broker) -> Iterator[Acceptor]:
    publisher = broker.publisher(API)
    yield Acceptor(store, publisher)
    publisher.close()


@pytest.fixture
def put_pdf(store: Store) -> Callable[[str], None]:
    """Returns a function that writes eight bytes under the key of a job's PDF."""

    def put(job_id: str) -> None:
        boto3.client("s3").put_object(Bucket=store.bucket, Key=f"pdf/{job_id}.pdf", Body=b"%PDF-1.4")

    return put


@pytest.fixture
def report() -> Report:
    return Report(
        final_url="https://example.com/",
        status=200,
        title="Example",
        pages=1,
        bytes=8,
        sha256="",
        phases={},
        network={},
        chromium="",
        cold=False,
    )
