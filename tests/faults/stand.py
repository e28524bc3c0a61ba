"""Runs the local stack of the copied project behind the proxies, with a broker that this process can restart."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import boto3
from botocore.config import Config

from infra.local.broker.rabbitmq import SERVER, Rabbit, with_credentials
from infra.local.host.ports import PortReservation
from infra.local.template.addresses import REGION
from tests.faults.armory import Armory
from tests.faults.books import Books
from tests.faults.http_proxy import HttpProxy
from tests.faults.owners import kill, owner
from tests.faults.small_disk import SmallDisk
from tests.faults.stages import Request
from tests.faults.tcp_proxy import TcpProxy

START_SECONDS = 240.0
STOP_SECONDS = 60.0
CTL_SECONDS = 60.0
T = TypeVar("T")


class Running:
    """A running stack: the content of its ready file, and clients of what is behind it."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready

    @property
    def amqp_url(self) -> str:
        """The URL of the broker itself with an administrator's credentials."""
        return str(self.ready["amqp_url"])

    def client(self, service: str) -> Any:
        """Makes a client of the AWS stand-in itself."""
        return boto3.client(
            service,
            endpoint_url=self.ready["aws_endpoint"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 3}, max_pool_connections=20),
        )


class Stand(Running):
    """The broker, the proxies and the addresses of the running stack. One event loop in a thread runs the proxies.

    Args:
        folder: A folder for the broker's files and output.
        armory: Draws the faults of the proxies.
        books: Get what the services have done.
    """

    disk: SmallDisk
    """Holds the temporary folders of the functions, from when the stack is ready."""

    def __init__(self, folder: Path, armory: Armory, books: Books) -> None:
        self.armory = armory
        self.books = books
        super().__init__({})
        self._folder = folder
        self._log = (folder / "rabbitmq.log").open("w", encoding="utf-8")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._servers = (PortReservation(), PortReservation())
        self._pids: list[dict[str, Any]] = []

    # ---- the event loop ----------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T], seconds: float = START_SECONDS) -> T:
        """Runs a coroutine in the loop of the proxies, and returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def call(self, function: Any, *arguments: Any) -> None:
        """Calls a function in the loop of the proxies."""
        self._loop.call_soon_threadsafe(function, *arguments)

    # ---- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the broker and the proxies."""
        self._thread.start()
        self.run(self._start())

    async def _start(self) -> None:
        self.rabbit = Rabbit(self._folder / "rabbitmq", lambda line: print(line, file=self._log, flush=True))
        self.user, self.password = "faults", secrets.token_hex(16)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        await self.rabbit.start(self.user, self.password)
        self.tcp = TcpProxy(self.rabbit.amqp_port, self.armory, self.find)
        aws, invoke = (f"http://127.0.0.1:{one.port}" for one in self._servers)
        self.aws = HttpProxy(aws, self.armory, self._seen, self.find)
        self.invoke = HttpProxy(invoke, self.armory, self._seen, self.find)
        for proxy in (self.tcp, self.aws, self.invoke):
            await proxy.start()

    def environment(self) -> dict[str, str]:
        """Returns the variables with which the stack uses the broker and the proxies."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {
            **inherited,
            "URLSHOT_AMQP_URL": f"amqp://{self.user}:{self.password}@127.0.0.1:{self.tcp.port}",
            "URLSHOT_RABBITMQ_API": self.rabbit.console,
            "URLSHOT_AWS_VIA": f"{self._servers[0].port}:{self.aws.port}",
            "URLSHOT_INVOKE_VIA": f"{self._servers[1].port}:{self.invoke.port}",
        }

    def close(self) -> None:
        async def end() -> None:
            for proxy in (self.tcp, self.aws, self.invoke):
                await proxy.close()
            await self._session.close()
            await self.rabbit.stop()

        with suppress(TimeoutError):
            self.run(end(), STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._log.close()

    # ---- what the rest of a run uses ---------------------------------------------------------------------------------

    def _seen(self, request: Request, status: int) -> None:
        record = request.record()
        if record is not None and status == 200:
            self.books.record_written(record)

    async def instances(self) -> list[dict[str, Any]]:
        """Returns the running instances of the functions: `function`, `pid`, `state`."""
        if not self.ready:
            return []
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.get(f"{self.ready['invoke_endpoint']}/_local/instances") as answer:
                self._pids = await answer.json()
        return self._pids

    async def find(self, port: int) -> int | None:
        """Returns the process of a function that has a connection with this local port."""
        pids = [int(one["pid"]) for one in await self.instances() if one["pid"]]
        return await asyncio.to_thread(owner, port, pids)

    def kill_idle(self, function: str) -> None:
        """Kills the instances of a function that handle no event, so that new ones start."""
        for one in self.run(self.instances()):
            if one["function"] == function and one["state"] == "frozen":
                kill(int(one["pid"]))

    @property
    def amqp_url(self) -> str:
        """The URL of the broker itself, not of the proxy: what a test publishes here is confirmed by the broker."""
        return with_credentials(self.rabbit.amqp, self.user, self.password)

    def ctl(self, *command: str) -> None:
        """Runs rabbitmqctl.

        Raises:
            subprocess.SubprocessError: It failed or did not end in time.
        """
        program = [
            SERVER.with_name("rabbitmqctl"),
            "-n",
            self.rabbit.environment["RABBITMQ_NODENAME"],
            "--quiet",
            *command,
        ]
        subprocess.run(
            program,
            env=self.rabbit.environment,
            cwd=self.rabbit.folder,
            check=True,
            capture_output=True,
            timeout=CTL_SECONDS,
        )


@contextmanager
def running_stand(
    project: Path, armory: Armory, books: Books, *, allow: list[str], ca: Path, parameters: dict[str, object]
) -> Iterator[Stand]:
    """Starts the broker, the proxies and the stack of the project in a folder, and ends them.

    Args:
        project: The folder of the project.
        armory: Draws the faults.
        books: Get what the services have done.
        allow: Private addresses, as host:port, that pages may load and callbacks may use.
        ca: A file of certificate authorities that callbacks trust.
        parameters: Parameters of the template.
    """
    with tempfile.TemporaryDirectory(prefix="urlshot-faults-") as name:
        folder = Path(name)
        stand = Stand(folder, armory, books)
        stand.start()
        ready, output = folder / "ready.json", folder / "out"
        command = [sys.executable, "-m", "infra.local", "up", "--ready-file", str(ready), "--allow", ",".join(allow)]
        command += ["--ca", str(ca), *(f"--param={name}={value}" for name, value in parameters.items())]
        with output.open("wb") as file:
            process = subprocess.Popen(command, cwd=project, stdout=file, stderr=file, env=stand.environment())
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the stack did not start:\n" + output.read_text()[-3000:])
                time.sleep(0.1)
            found = {**json.loads(ready.read_text("utf-8")), "output": str(output)}
            stand.disk = SmallDisk(Path(found["logs"]).parent / "instances")
            stand.ready = found
            yield stand
            if process.poll() is not None:
                raise SystemExit("the stack ended by itself:\n" + output.read_text()[-3000:])
        finally:
            if stand.ready:
                stand.disk.close()
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            stand.close()
