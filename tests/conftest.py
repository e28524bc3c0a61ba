"""Distributes the tests among the workers of `pytest -n`, which `make test` uses.

A worker takes one unit at a time and runs all of its tests in order. A unit is a file, or several files that share a
session fixture that takes seconds to start: otherwise every worker would start its own. The longest units come first,
so that no worker has to finish one alone at the end.
"""

from __future__ import annotations

import pytest

TOGETHER = ("tests/integration/egress/", "tests/e2e/", "tests/integration/test_")
"""The files below each of these paths are one unit. They share the attempts' outcome; the stack; broker and moto."""
ALONE = (
    "tests/e2e/test_access.py",
    "tests/e2e/test_main_job.py",
    "tests/integration/test_build.py",
    "tests/integration/test_cloudformation.py",
)
"""Files below `TOGETHER` that do not use the shared fixture. Each is a unit."""
FIRST = (*TOGETHER, "tests/integration/", "tests/gallery/")
"""The order of the units."""


def unit(nodeid: str) -> str:
    """Returns the name of the unit that a test belongs to."""
    file = nodeid.partition("::")[0]
    return file if file in ALONE else next((path for path in TOGETHER if file.startswith(path)), file)


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
