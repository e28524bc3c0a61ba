"""The real runtime interface client with handlers of our own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from infra.local.artefacts import Endpoints, launch, runtime_client
from infra.local.lambdas import Lambdas, Undelivered
from infra.local.model import Function
from infra.local.processes import become_subreaper

PROJECT = Path(__file__).resolve().parents[3]
HANDLERS = Path(__file__).parent / "handlers"


class Harness:
    """Starts functions of the handlers folder and keeps what they print."""

    def __init__(self, scratch: Path) -> None:
        self.lines: list[tuple[str, str]] = []
        self.undelivered: list[Undelivered] = []
        self._scratch = scratch
        self._started: list[Lambdas] = []

    def lambdas(self, handler: str = "probe.handler", *, timeout: float = 10, limit: int = 3) -> Lambdas:
        function = Function(
            name="Probe",
            handler=handler,
            timeout=10,
            memory=128,
            environment={"GIVEN": "by the template"},
            layers=(),
            concurrency=None,
            retries=2,
            on_failure=None,
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
        lambdas = Lambdas(
            {"Probe": replace(start, timeout=timeout)},
            default_limit=limit,
            listener=lambda name, line: self.lines.append((name, line)),
            undelivered=self._keep,
        )
        self._started.append(lambdas)
        return lambdas

    async def _keep(self, event: Undelivered) -> None:
        self.undelivered.append(event)

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
