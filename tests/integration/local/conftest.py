"""Fixtures: functions that run the handlers in `handlers/` with Lambda's real runtime interface client."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from infra.local.functions.artefacts import Endpoints, launch, runtime_client
from infra.local.functions.lambdas import Lambdas
from infra.local.host.processes import become_subreaper
from infra.local.template.model import Asynchronous, Function

PROJECT = Path(__file__).resolve().parents[3]
HANDLERS = Path(__file__).parent / "handlers"


class Harness:
    """Starts functions from the handlers folder, and records their output.

    `lines` holds all lines of the functions, `printed` the JSON objects that they print, `said` the messages for
    people, and `queued` the messages for queues.
    """

    def __init__(self, scratch: Path, handlers: Path = HANDLERS) -> None:
        self.lines: list[tuple[str, str]] = []
        self.printed: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.queued: list[tuple[str, Any]] = []
        self._scratch = scratch
        self._handlers = handlers
        self._started: list[Lambdas] = []

    def lambdas(
        self,
        handler: str = "probe.handler",
        *,
        timeout: float = 10,
        limit: int = 3,
        others: Mapping[str, str] | None = None,
        asynchronous: Mapping[str, Asynchronous] | None = None,
        command: list[Path | str] | None = None,
        memory: int = 128,
    ) -> Lambdas:
        """Makes the function Probe with this handler, and others.

        Args:
            handler: The handler of Probe.
            timeout: Seconds that an invocation may take.
            limit: The most instances of each function.
            others: The handlers of other functions, by name.
            asynchronous: The settings of asynchronous invocations, by function.
            command: A command that is put before the command of each function.
            memory: Megabytes of each function.
        """
        launches = {}
        for name, path in {"Probe": handler, **(others or {})}.items():
            function = Function(
                name=name,
                path=(name,),
                declared_name=None,
                handler=path,
                timeout=10,
                memory=memory,
                environment={"GIVEN": "by the template"},
                layers=(),
                concurrency=None,
                asynchronous=Asynchronous(),
                log_format="Text",
            )
            start = launch(
                function,
                task_root=self._handlers,
                layers_dir=self._scratch,
                runtime=runtime_client(PROJECT / ".urlshot"),
                scratch=self._scratch / "instances",
                endpoints=Endpoints("http://127.0.0.1:1", "http://127.0.0.1:2", []),
            )
            given = {} if command is None else {"command": [*command, *start.command]}
            launches[name] = replace(start, timeout=timeout, **given)
        lambdas = Lambdas(
            launches,
            default_limit=limit,
            asynchronous=asynchronous,
            other_names={"urlshot-probe": "Probe"},
            to_queue=self._keep,
            listener=self._hear,
            say=self.said.put_nowait,
        )
        self._started.append(lambdas)
        return lambdas

    async def next_printed(self) -> tuple[str, Any]:
        """Waits at most 30 s for the next JSON object of a function, and returns the function's name and the object."""
        return await asyncio.wait_for(self.printed.get(), 30)

    async def next_said(self) -> str:
        return await asyncio.wait_for(self.said.get(), 30)

    def _hear(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        if line.startswith("{") and "platform.report" not in line:
            self.printed.put_nowait((name, json.loads(line)))

    async def _keep(self, arn: str, text: str) -> None:
        self.queued.append((arn, json.loads(text)))

    async def end(self) -> None:
        for lambdas in self._started:
            await lambdas.end()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    become_subreaper()
    harness = Harness(tmp_path)
    yield harness
    await harness.end()


@pytest_asyncio.fixture(loop_scope="module")
async def module_harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """Gives the same harness in the event loop of a module whose tests share a server."""
    become_subreaper()
    harness = Harness(tmp_path)
    yield harness
    await harness.end()
