"""How `pytest -n`, which `make test` uses, shares the tests out among its workers.

A worker takes a unit at a time, whole and in order. A file is one; files that share something that takes seconds to
start, a session's fixture, are one together, or every worker would start its own. What takes longest comes first, so
that no worker is left alone with it at the end.
"""

from __future__ import annotations

import pytest

TOGETHER = ("tests/integration/door/", "tests/e2e/", "tests/integration/test_")
"""Files below these share the attempts' outcome, the stack, and broker and moto's server."""
ALONE = (
    "tests/e2e/test_doors.py",
    "tests/e2e/test_main_job.py",
    "tests/integration/test_build.py",
    "tests/integration/test_cloudformation.py",
)
"""Files among them that use none of it."""
FIRST = (*TOGETHER, "tests/integration/", "tests/gallery/")
"""The order of the units."""


def unit(nodeid: str) -> str:
    """The unit that a test belongs to."""
    file = nodeid.partition("::")[0]
    return file if file in ALONE else next((path for path in TOGETHER if file.startswith(path)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid)

    config.option.loadscopereorder = False  # it would put files with many tests first, and those are the quick ones
    return Units(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # a worker; without workers the usual order is best to read
        items.sort(key=lambda item: next((at for at, path in enumerate(FIRST) if item.nodeid.startswith(path)), 99))
