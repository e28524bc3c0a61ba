"""The real runtime interface client with handlers of our own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from infra.local.artefacts import Endpoints, launch, runtime_client
from infra.local.lambdas import Lambdas
from infra.local.model import Asynchronous, Function
from infra.local.processes import become_subreaper

PROJECT = Path(__file__).resolve().parents[3]
HANDLERS = Path(__file__).parent / "handlers"


class Harness:
    """Starts functions of the handlers folder; keeps what they print, what queues get and what people are told.

    `printed` holds what functions print as JSON, `said` what people are told: both as they come.
    """

    def __init__(self, scratch: Path) -> None:
        self.lines: list[tuple[str, str]] = []
        self.printed: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.queued: list[tuple[str, Any]] = []
        self._scratch = scratch
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
        """A function Probe with this handler, and `others`, handlers by name; `command` starts them in another way."""
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
                task_root=HANDLERS,
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
        """The next thing that a function prints as JSON, with the function's name."""
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
    """The same in the loop of a module whose tests share a server."""
    become_subreaper()
    harness = Harness(tmp_path)
    yield harness
    await harness.end()
