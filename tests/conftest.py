"""Distributes the tests among the workers of `pytest -n`, which `make test` uses.

A worker takes one unit at a time and runs all of its tests in order. A unit is a file, or several files that share a
session fixture that takes seconds to start: otherwise every worker would start its own. The longest units come first,
so that no worker has to finish one alone at the end. A long file whose tests share nothing is divided.

Tests that need the built layers do not start if the layers are older than their sources. Hypothesis has no deadlines.
`HYPOTHESIS_PROFILE=slow` makes it try fewer examples on a slow machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from infra.local.functions.layers import OUTDATED, STAMP, digest
from infra.local.settings import PROJECT

TOGETHER = ("tests/integration/egress/", "tests/e2e/", "tests/integration/test_", "tests/conformance/test_s3")
"""The files below each of these paths are one unit. They share the attempts' outcome; the stack; broker and moto; moto
alone."""
ALONE = (
    "tests/e2e/test_access.py",
    "tests/e2e/test_egress.py",
    "tests/e2e/test_main_job.py",
    "tests/integration/test_bench.py",
    "tests/integration/test_build.py",
    "tests/integration/test_cloudformation.py",
)
"""Files below `TOGETHER` that do not use the shared fixture. Each is a unit."""
DIVIDED = ("tests/simulation/test_simulation.py",)
"""Files of which each test is a unit."""
FIRST = (*TOGETHER, "tests/integration/", "tests/conformance/", "tests/gallery/")
"""The order of the units."""

# A busy machine may be slow to draw an example or to run one; neither is a fault of the code.
settings.register_profile("urlshot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", settings.get_profile("urlshot"), max_examples=15)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "urlshot")

WITHOUT_LAYERS = ("tests/unit", "tests/simulation", "tests/conformance")
"""Folders of tests that need no layers."""


def unit(nodeid: str) -> str:
    """Returns the name of the unit that a test belongs to."""
    file = nodeid.partition("::")[0]
    if file in DIVIDED:
        return nodeid
    return file if file in ALONE else next((path for path in TOGETHER if file.startswith(path)), file)


def outdated(paths: Iterable[Path]) -> str | None:
    """The reason why tests of these files and folders must not run, if there is one."""
    stamp = PROJECT / ".urlshot" / "layers" / STAMP
    without = [PROJECT / folder for folder in WITHOUT_LAYERS]
    if all(any(path.is_relative_to(folder) for folder in without) for path in paths) or not stamp.parent.is_dir():
        return None  # tests that find no layer at all say so themselves
    built = stamp.read_text("utf-8").strip() if stamp.is_file() else None
    return None if built == digest(PROJECT / "layers") else OUTDATED


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    here = config.invocation_params.dir
    if (reason := outdated((here / argument.partition("::")[0]).resolve() for argument in config.args)) is not None:
        raise pytest.UsageError(reason)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid)

    config.option.loadscopereorder = False  # true would put files with many tests first, and those are quick
    return Units(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # only in a worker: without workers, pytest's own order is easier to read
        items.sort(key=lambda item: next((at for at, path in enumerate(FIRST) if item.nodeid.startswith(path)), 99))
