"""schemathesis fuzzes the whole stack, and every answer conforms to the contract."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.contract import FILE
from tests.e2e.conftest import CONTRACT, PROJECT, Pages, Stack, call, start, stop

FOLDER = Path(__file__).with_name("fuzz")


def fuzz(stack: Stack, page: str, scratch: Path, seconds: int, *arguments: str) -> None:
    """Runs schemathesis against a stack that has one job that is done and one that failed.

    It uses the contract without unknown fields, because our own answers must not have any.
    """
    jobs = [stack.ended(stack.post(url).json()["id"])["id"] for url in (page, stack.pages.url("/status/404"))]
    (scratch / "openapi.json").write_text(json.dumps(CONTRACT.closed))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", FOLDER / "schemathesis.toml",
            "run", scratch / "openapi.json", "--url", stack.endpoint, "--no-color",
            "--header", f"x-api-key: {stack.ready['api_key']}", *arguments,
        ],
        cwd=PROJECT,
        env={**os.environ, "FUZZ_PAGE": page, "FUZZ_JOBS": ",".join(jobs)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "No issues found" in done.stdout


def test_contract_at_the_endpoint_resolves_to_its_address(stack: Stack) -> None:
    where = f"{stack.endpoint}/openapi.json"
    found = call("GET", where)
    assert found.status == 200
    assert found.json() == json.loads(FILE.read_text("utf-8"))
    # Readers remove the slash at the end and append the path of a call.
    assert urljoin(where, found.json()["servers"][0]["url"]).rstrip("/") == stack.endpoint


@pytest.mark.timeout(420)
def test_answers_conform_to_the_contract(stack: Stack, pages: Pages, tmp_path: Path) -> None:
    fuzz(stack, pages.url("/fuzz"), tmp_path, 400, "--max-examples", "10")


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_answers_conform_to_the_contract_in_a_long_run_with_keys(pages: Pages, tmp_path: Path) -> None:
    stack = start(pages, tmp_path / "ready.json", "--param", "RetryDelays=1,2", "--param", "RequireApiKey=true")
    try:
        fuzz(stack, pages.url("/fuzz-long"), tmp_path, 900, "--max-examples", "300", "--seed", "2")
    finally:
        stop(stack)
