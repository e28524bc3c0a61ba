"""Times `api` beside its floor: the calls of S3 and the confirmed publish that it makes, made bare.

Both run in one process, in turns, against moto and a real RabbitMQ. A hit takes one HEAD. A miss takes a HEAD, two
conditional PUTs and one persistent, mandatory, confirmed publish of the same bodies.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from functions.topology.description import Users, Wanted, describe
from functions.topology.management import Management
from infra.local.broker.rabbitmq import Rabbit
from infra.local.settings import PROJECT
from infra.local.template.addresses import REGION
from tests.bench.tools import LAYERS
from urlshot.adapters.secrets import Credentials

ADMIN = Credentials("urlshot_admin", "admin-password")
API = Credentials("urlshot_api", "api-password")
OTHERS = {name: Credentials(f"urlshot_{name}", f"{name}-password") for name in ("dispatch", "settle", "watch")}
BUCKET = "bench"
RUN_SECONDS = 300.0
_AWS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": REGION}


def api(samples: int, starts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Returns the milliseconds of hits and misses, ours and bare, and those of the start of a process."""
    with tempfile.TemporaryDirectory() as folder, _broker(Path(folder)) as rabbit, _aws() as endpoint:
        environment = _environment(endpoint, rabbit.amqp)
        parts = dict[str, list[float]]()
        for _ in range(starts):
            for name, took in _run(environment, 0)["start"].items():
                parts.setdefault(name, []).append(took)
        say(f"api: start of a process, last of {starts}: " + ", ".join(f"{n} {t[-1]:.0f}" for n, t in parts.items()))
        found = _run(environment, samples)
        say(f"api: {samples} hits and misses were measured")
    return {"hit": found["hit"], "miss": found["miss"], "start": parts}


def _run(environment: dict[str, str], samples: int) -> Any:
    """Runs the worker in a process of its own; returns its figures."""
    command = [sys.executable, "-S", "-m", "tests.bench.workers.api", str(samples)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"the measurement of api failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _environment(endpoint: str, broker: str) -> dict[str, str]:
    """Makes the bucket and the secrets, and returns the environment of `api`."""
    with_aws: dict[str, Any] = {
        "endpoint_url": endpoint, "region_name": REGION, "aws_access_key_id": "local", "aws_secret_access_key": "local",
    }  # fmt: skip
    boto3.client("s3", **with_aws).create_bucket(Bucket=BUCKET)
    secrets = boto3.client("secretsmanager", **with_aws)

    def secret(name: str, text: str) -> str:
        return str(secrets.create_secret(Name=name, SecretString=text)["ARN"])

    return {
        **_AWS,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(PROJECT), str(LAYERS / "SharedLayer" / "python"))),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "api",
        "POWERTOOLS_METRICS_NAMESPACE": "urlshot",
        "BUCKET": BUCKET,
        "BROKER_URL": broker,
        "BROKER_SECRET": secret("broker", json.dumps({"username": API.username, "password": API.password})),
        "BUS": "bench",
        "MAX_AGE": "86400",
        "PDF_DAYS": "30",
        "LINK_SECONDS": "900",
        "MAX_WAITING": "2",
        "REQUIRE_API_KEY": "false",
        "LINK_SECRET": secret("link", "a secret for links that is long enough"),
        "WEBHOOK_SECRET": secret("webhook", "a secret for callbacks that is long enough"),
    }


@contextmanager
def _broker(folder: Path) -> Iterator[Rabbit]:
    """Starts a node with urlshot's topology, and stops it."""
    folder.chmod(0o755)  # the broker may run as another user
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(100)

    async def make() -> Rabbit:
        return Rabbit(folder / "node", lambda _: None)

    node: Rabbit = wait(make())
    try:
        wait(node.start(ADMIN.username, ADMIN.password))
        management = Management(node.console, ADMIN)
        for call in describe(
            Wanted(RetryDelays=(5,), RenderTimeout=60, QueueLimit=10_000, BrokerConnections=1000),
            Users(api=API, **OTHERS),
        ):
            management.carry_out(call)
        yield node
    finally:
        wait(node.stop())
        loop.call_soon_threadsafe(loop.stop)


@contextmanager
def _aws() -> Iterator[str]:
    """Starts moto's server; yields its URL."""
    command = [sys.executable, "-m", "infra.local.aws.server", "--port", "0"]
    server = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
    finally:
        server.terminate()
        server.wait(10)
