"""The functions run in Lambda's image under Lambda's conditions, which `sam local` cannot set."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.sam.conftest import event
from tests.sam.container import LAMBDA_LIKE, built_functions, python_command, running

pytestmark = pytest.mark.timeout(180)


async def test_render_makes_pdfs(image: str, tmp_path: Path) -> None:
    function = built_functions()["RenderFunction"]
    async with running(function, tmp_path, *LAMBDA_LIKE, variables=function.environment) as container:
        for cold in (True, False):
            answer = await container.invoke(event("render"))
            assert answer.error is None, (answer.payload, container.lines)
            rendered = json.loads(answer.payload)
            assert base64.b64decode(rendered["pdf"]).startswith(b"%PDF-")
            assert (rendered["report"]["cold"], rendered["report"]["glyphs_missing"]) == (cold, [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import ctypes; ctypes.CDLL('libatomic.so.1')", "libatomic.so.1: cannot open shared object file"),
        ("import pwd, os; pwd.getpwuid(os.getuid())", "uid not found: 993"),
        ("open('/var/task/x', 'w')", "Read-only file system"),
        ("open('/opt/x', 'w')", "Read-only file system"),
        ("open('/dev/shm/x', 'w').write('x' * 100_000)", "No space left on device"),
    ],
)
def test_container_has_the_conditions_of_lambda(image: str, code: str, reason: str) -> None:
    """Without these conditions, the other tests of this file would prove nothing."""
    command = python_command(code, *LAMBDA_LIKE)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert reason in done.stderr


@pytest.mark.parametrize("name", sorted(set(built_functions()) - {"RenderFunction"}))
async def test_function_starts(image: str, tmp_path: Path, name: str) -> None:
    function = built_functions()[name]
    async with running(function, tmp_path, *LAMBDA_LIKE, variables=function.environment) as container:
        assert container.init_ms < 10_000  # Lambda's limit of the init phase


async def test_api_serves_the_files_of_its_package(image: str, tmp_path: Path) -> None:
    function = built_functions()["ApiFunction"]
    given = event("api")
    async with running(function, tmp_path, *LAMBDA_LIKE, variables=function.environment) as container:
        for path in ("/openapi.json", "/"):
            request = {"resource": path, "path": path, "requestContext": given["requestContext"] | {"path": path}}
            answer = json.loads((await container.invoke(given | request)).payload)
            assert answer["statusCode"] == 200, (answer, container.lines)
