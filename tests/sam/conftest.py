"""Lambda's image and a running local stack, for tests of the result of `sam build`; `make sam-test` runs them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.settings import PROJECT
from tests.e2e.conftest import Pages, Stack, start, stop
from tests.sam.container import IMAGE, built_functions, unavailable

SAM = PROJECT / ".urlshot" / "sam" / "bin" / "sam"
EVENTS = PROJECT / "tests" / "events"
INVOKE_SECONDS = 120.0
Invoke = Callable[[str, dict[str, Any]], Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.sam)


def event(name: str) -> dict[str, Any]:
    """Returns an event of tests/events."""
    return dict(json.loads((EVENTS / f"{name}.json").read_text("utf-8")))


@pytest.fixture(scope="session")
def image() -> str:
    why = unavailable()
    if why is not None:
        pytest.skip(why)
    return IMAGE


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


@pytest.fixture(scope="session")
def stack(image: str, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = start(pages, tmp_path_factory.mktemp("stack") / "ready.json", "--docker", "--param", "QueueWatch=enabled")
    yield stack
    stop(stack)


def sam_local(image: str, command: str, *arguments: str | Path, variables: str | None = None) -> list[str | Path]:
    """Returns a command line of `sam local` that uses the built functions."""
    return [
        *(SAM, "local", command, "--invoke-image", image, "--skip-pull-image"),
        *(("--env-vars", variables) if variables else ()),
        *arguments,
    ]


def sam_environment() -> dict[str, str]:
    """Returns an environment without an AWS account."""
    none = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_DEFAULT_REGION": "us-east-1"}
    return {**os.environ, **none, "SAM_CLI_TELEMETRY": "0"}


@pytest.fixture
def invoke(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> Invoke:
    """Invokes a function by `sam local invoke`, with the variables of a running stack, and returns its answer."""

    def run(name: str, given: dict[str, Any]) -> Any:
        variables = None if name == "RenderFunction" else str(request.getfixturevalue("stack").ready["env_vars"])
        file = tmp_path / "event.json"
        file.write_text(json.dumps(given), "utf-8")
        done = subprocess.run(
            sam_local(image, "invoke", "/".join(built_functions()[name].path), "--event", file, variables=variables),
            cwd=PROJECT, env=sam_environment(), capture_output=True, text=True, timeout=INVOKE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        answer = json.loads(done.stdout or "null")
        assert not (isinstance(answer, dict) and "errorMessage" in answer), done.stdout + done.stderr[-3000:]
        return answer

    return run
