"""The two Lambdas that the tests compare: the simulated one, and the local stack's with real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import boto3
from aiohttp import web
from botocore.config import Config

from infra.local.functions.invoke_api import invoke_app
from infra.local.host.ports import listen
from infra.local.host.processes import become_subreaper
from infra.local.template.model import Asynchronous, Destination
from tests.conformance.calls import Caller, Client
from tests.integration.local.conftest import Harness
from tests.simulation.kernel import EPOCH
from tests.simulation.lambdas import FUNCTION, OUTCOMES, START, SimulatedLambda
from tests.simulation.s3 import SimulatedS3

HANDLERS = Path(__file__).parent / "handlers"
SETTLE = Destination("Lambda", "Settle")
LEASE_SECONDS = 600
KNOWN = (*OUTCOMES, "unsettled", "too old")
Record = dict[str, Any]


def job(host: str) -> dict[str, Any]:
    """Returns a render job that ends as `host` says, one of `KNOWN`."""
    assert host in KNOWN
    form = SimulatedS3(Caller().kernel, lambda *_: None).generate_presigned_post(
        Bucket="bucket", Key="upload/k", Fields={}, Conditions=[], ExpiresIn=LEASE_SECONDS
    )
    return {
        "version": 1,
        "id": "0" * 40,
        "generation": "g1",
        "claim": "c1",
        "lease_until": EPOCH.replace(minute=LEASE_SECONDS // 60).isoformat(),
        "url": f"https://{host}/",
        "upload": form,
    }


class Functions(Protocol):
    """Lambda with two functions: `render`, and `settle`, which gets the records of `render`."""

    name: str
    """The name of `render`."""

    async def client(self) -> Any:
        """Returns a client of boto3's form for Lambda."""

    async def invoke(self, **arguments: Any) -> dict[str, Any]:
        """Calls `Invoke`."""

    async def record(self) -> Record:
        """Waits for the next call of `settle`, and returns the record that it gets."""

    async def rest(self) -> list[Record]:
        """Returns the records of all further calls of `settle`, when Lambda has given a failed record up."""


class SimulatedFunctions:
    name = FUNCTION

    def __init__(self, *hosts: str) -> None:
        """Prepares the decisions for jobs that are invoked in this order."""
        decisions: dict[str, int] = {}
        for number, host in enumerate(hosts, 1):
            if host == "too old":
                decisions[f"render {number}/start/0"] = START.index("too old")
            elif host in OUTCOMES:
                decisions[f"render {number}/outcome/0"] = OUTCOMES.index(host)
        self._caller = Caller(decisions)
        kernel = self._caller.kernel
        self._s3 = SimulatedS3(kernel, lambda *_: None)
        service = SimulatedLambda(kernel, self._s3, self._settle, lambda *_: None, same_bytes=False)
        self._client = Client(self._caller, service)
        self._records: list[Record] = []

    def _settle(self, record: Record, settled: Any) -> None:
        self._records.append(json.loads(json.dumps(record)))
        settled(host_of(record) != "unsettled")

    async def client(self) -> Any:
        return self._client

    async def invoke(self, **arguments: Any) -> dict[str, Any]:
        return dict(self._client.invoke(**arguments))

    async def record(self) -> Record:
        self._caller.wait_for(lambda: self._records, seconds=600)
        return self._records.pop(0)

    async def rest(self) -> list[Record]:
        self._caller.kernel.run()
        found, self._records = self._records, []
        return found


class LocalFunctions:
    name = "urlshot-probe"

    def __init__(self, harness: Harness, max_age: float, timeout: float) -> None:
        self._harness = harness
        render = Asynchronous(retries=0, max_age=max_age, on_success=SETTLE, on_failure=SETTLE)
        self.lambdas = harness.lambdas(
            "render.handler",
            timeout=timeout,
            limit=1,
            others={"Settle": "render.settle"},
            asynchronous={"Probe": render, "Settle": Asynchronous(retries=2)},  # as in the template (test_template.py)
        )
        settle = self.lambdas.functions["Settle"]
        settle.launch = replace(settle.launch, timeout=60.0)
        self._runner = web.AppRunner(invoke_app(self.lambdas), access_log=None, shutdown_timeout=0.5)
        self._client: Any = None

    async def start(self) -> None:
        await self._runner.setup()
        listening = listen()
        await web.SockSite(self._runner, listening).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
        config = Config(retries={"total_max_attempts": 1})
        self._client = await asyncio.to_thread(session.client, "lambda", endpoint_url=url, config=config)

    async def end(self) -> None:
        await self._harness.end()
        await self._runner.cleanup()

    async def client(self) -> Any:
        return self._client

    async def invoke(self, **arguments: Any) -> dict[str, Any]:
        return dict(await asyncio.to_thread(lambda: self._client.invoke(**arguments)))

    async def record(self) -> Record:
        while True:
            name, printed = await asyncio.wait_for(self._harness.printed.get(), 60)
            if name == "Settle" and "requestContext" in printed:
                return dict(printed)

    async def rest(self) -> list[Record]:
        found = []
        while True:
            name, printed = await asyncio.wait_for(self._harness.printed.get(), 60)
            if name != "Settle":
                continue
            if printed.get("type") == "local.undelivered":
                return found
            found.append(printed)

    async def keep_busy(self) -> None:
        """Lets the only instance of `render` run a job that does not end."""
        running = asyncio.ensure_future(self.lambdas.invoke("Probe", json.dumps(job("time-out")).encode()))
        while not self.lambdas.functions["Probe"].instances:
            await asyncio.sleep(0)
        running.add_done_callback(lambda one: one.cancelled() or one.exception())


def host_of(record: Record) -> str:
    return str(record["requestPayload"]["url"]).split("/")[2]


@asynccontextmanager
async def functions(kind: str, folder: Path, *hosts: str) -> AsyncIterator[Functions]:
    """Gives a Lambda for jobs that end as `hosts` say, in this order.

    Args:
        kind: `simulated` or `local`.
        folder: A folder for files.
        hosts: The hosts of the jobs.
    """
    if kind == "simulated":
        yield SimulatedFunctions(*hosts)
        return
    become_subreaper()
    old = "too old" in hosts
    local = LocalFunctions(
        Harness(folder, HANDLERS), max_age=0.2 if old else 60.0, timeout=1.0 if "time-out" in hosts else 600.0
    )
    try:
        await local.start()
        if old:
            await local.keep_busy()
        yield local
    finally:
        await local.end()
