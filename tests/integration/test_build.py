"""What `sam build` makes of the template: each function and layer, for Lambda, within its limits."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from infra.local.sizes import LIMIT, measure

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    sam = PROJECT / ".urlshot" / "sam" / "bin" / "sam"
    command = [sam, "build", "--build-dir", folder / "build", "--cache-dir", folder / "cache"]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "PIP_ROOT_USER_ACTION": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "build"


@pytest.mark.timeout(400)
def test_every_function_fits_into_lambda_with_its_layers(build: Path) -> None:
    sizes = {size.function: size for size in measure(build)}
    assert len(sizes) == 8
    assert all(0 < size.package < 1_000_000 for size in sizes.values())
    assert all(size.total <= LIMIT for size in sizes.values()), sizes
    assert set(sizes["RenderFunction"].layers) == {"SharedLayer", "ChromiumLayer"}


def test_a_function_carries_its_own_room_and_no_other(build: Path) -> None:
    for function in build.glob("*Function"):
        room = function.name.removesuffix("Function").lower()
        assert {path.name for path in (function / "functions").iterdir()} == {"__init__.py", room}
        assert (function / "functions" / room / "app.py").is_file()


def test_the_layers_are_for_lambda_and_carry_nothing_of_the_workshop(build: Path) -> None:
    names = {path.name for layer in ("SharedLayer", "ChromiumLayer") for path in (build / layer / "python").iterdir()}
    assert {"urlshot", "boto3", "pydantic", "aws_lambda_powertools", "amqp", "ada_url"} <= names
    assert {"playwright", "playwright_aws_lambda", "zstandard"} <= names
    assert not names & {"pytest", "moto", "mypy", "hypothesis", "awslambdaric", "pip", "setuptools"}
    extensions = [path.name for path in (build / "SharedLayer").rglob("*.so")]
    assert extensions
    assert all("cpython-313" in name or "abi3" in name for name in extensions if "cpython" in name)


def test_a_layer_adds_nothing_that_the_other_brings(build: Path) -> None:
    shared, chromium = (
        {path.name for path in (build / name / "python").iterdir()} for name in ("SharedLayer", "ChromiumLayer")
    )
    assert not {name for name in shared & chromium if not name.endswith(".dist-info")}
