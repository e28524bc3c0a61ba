"""Tests the functions and layers that `sam build` makes from the template: their content, and Lambda's limits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.local.functions.sizes import LIMIT, measure
from tests.unit.test_template import SETTINGS

PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = (3, 13)
"""Lambda's Python version, for which the layers are built."""


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


def functions(build: Path) -> list[Path]:
    """Returns the folder of each function, those of nested stacks too."""
    return [*build.glob("*Function"), *build.glob("*/*Function")]


@pytest.mark.timeout(400)
def test_every_function_fits_into_lambda_with_its_layers(build: Path) -> None:
    sizes = {size.function: size for size in measure(build)}
    assert set(sizes) == set(SETTINGS)
    assert all(0 < size.package < 1_000_000 for size in sizes.values())
    assert all(size.total <= LIMIT for size in sizes.values()), sizes
    assert set(sizes["RenderFunction"].layers) == {"SharedLayer", "ChromiumLayer"}


def test_function_contains_its_own_package_only(build: Path) -> None:
    folders = functions(build)
    assert {folder.name for folder in folders} == set(SETTINGS)
    for function in folders:
        package = function.name.removesuffix("Function").lower()
        assert {path.name for path in (function / "functions").iterdir()} == {"__init__.py", package}
        assert (function / "functions" / package / "app.py").is_file()


def test_layers_are_built_for_lambda_without_development_packages(build: Path) -> None:
    names = {path.name for layer in ("SharedLayer", "ChromiumLayer") for path in (build / layer / "python").iterdir()}
    assert {"urlshot", "boto3", "pydantic", "aws_lambda_powertools", "amqp", "ada_url"} <= names
    assert {"playwright_aws_lambda", "pybase64", "zstandard"} <= names
    assert not names & {"playwright", "pytest", "moto", "mypy", "hypothesis", "awslambdaric", "pip", "setuptools"}
    extensions = [path.name for path in (build / "SharedLayer").rglob("*.so")]
    assert extensions
    assert all("cpython-313" in name or "abi3" in name for name in extensions if "cpython" in name)


def test_layers_share_no_module(build: Path) -> None:
    shared, chromium = (
        {path.name for path in (build / name / "python").iterdir()} for name in ("SharedLayer", "ChromiumLayer")
    )
    assert not {name for name in shared & chromium if not name.endswith(".dist-info")}


def test_layers_contain_pinned_distributions_only(build: Path) -> None:
    for layer, folder in (("SharedLayer", "shared"), ("ChromiumLayer", "chromium")):
        text = (PROJECT / "layers" / folder / "requirements.txt").read_text("utf-8")
        pinned = {
            (_plain(name), version) for name, version in re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", text, re.M)
        }
        found = {
            (_plain(name), version)
            for path in (build / layer / "python").glob("*.dist-info")
            for name, _, version in [path.name.removesuffix(".dist-info").rpartition("-")]
        }
        assert found <= pinned, f"{layer} contains distributions that are not pinned"


def _plain(name: str) -> str:
    """Returns the name of a distribution, normalised for comparison (after PEP 503, with `_`)."""
    return re.sub(r"[-_.]+", "_", name).lower()


def test_api_contains_its_contract_and_its_page(build: Path) -> None:
    package = build / "ApiFunction" / "functions" / "api"
    assert json.loads((package / "openapi.json").read_text("utf-8"))["openapi"]
    page = PROJECT / "functions" / "api" / "page"
    assert {file.name for file in (package / "page").iterdir()} == {file.name for file in page.iterdir()}


@pytest.fixture(scope="module")
def python313() -> str:
    """Returns the path of an interpreter with Lambda's Python version."""
    places = [shutil.which("python3.13"), *Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13")]
    for place in filter(None, places):
        code = f"import sys; sys.exit(sys.version_info[:2] != {RUNTIME})"
        if subprocess.run([place, "-c", code], check=False, timeout=30).returncode == 0:
            return str(place)
    pytest.skip("the layers are for python3.13, which is neither on PATH nor in ~/.pyenv")


@pytest.mark.parametrize("name", SETTINGS)
def test_handler_imports_from_its_artefact_and_layers_alone(build: Path, python313: str, name: str) -> None:
    """The interpreter runs without site-packages, and with PYTHONPATH as its only environment variable."""
    [size] = [size for size in measure(build) if size.function == name]
    [package] = [folder for folder in functions(build) if folder.name == name]
    path = [package, *(build / layer / "python" for layer in size.layers)]
    code = f"""
import importlib, json, sys
module = importlib.import_module("functions.{name.removesuffix("Function").lower()}.app")
assert callable(module.handler)
files = [getattr(one, "__file__", None) for one in list(sys.modules.values())]
print(json.dumps([file for file in files if file]))
"""
    command = [python313, "-S", "-X", f"pycache_prefix={build.parent / 'compiled'}", "-c", code]
    done = subprocess.run(
        command, cwd=build, capture_output=True, text=True, timeout=50, check=False,
        env={"PYTHONPATH": os.pathsep.join(map(str, path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    library = Path(python313).resolve().parents[1]
    places = (*path, library)
    foreign = [one for one in json.loads(done.stdout) if not any(Path(one).is_relative_to(place) for place in places)]
    assert foreign == []
