"""The benchmark's own workers print with the built layers, and its measurements return what the documents need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import tools as module
from tests.bench.api import api
from tests.bench.check import missing
from tests.bench.cold_peers import cold
from tests.bench.pages import BY_NAME
from tests.bench.parallel import throughput
from tests.bench.site import serving
from tests.bench.tools import Tool, started, tools
from tests.bench.warm import Field

pytestmark = pytest.mark.timeout(900)  # several browsers start; a busy machine takes minutes


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(module, "PRINT_SECONDS", 300.0)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with serving() as address:
        yield address


def named(host: str, name: str) -> Tool:
    return next(tool for tool in tools(host) if tool.name == name)


@pytest.mark.parametrize("name", ["floor", "load", "playwright"])
def test_worker_prints_a_complete_page_and_says_how_it_started(host: str, name: str) -> None:
    with started(named(host, name)) as worker:
        ready = worker.ready()
        assert next(iter(ready["marks"])) == "begun" and "started" in ready["marks"]
        for page in (BY_NAME["small"], BY_NAME["charts"]):
            answer, pdf = worker.print_page(f"http://{host}/{page.name}")
            assert missing(page, pdf) == [] and answer["ms"] > 0


def test_renderer_reports_phases_and_prints_late_pages_when_settled(host: str) -> None:
    with started(named(host, "settled")) as worker:
        worker.ready()
        answer, pdf = worker.print_page(f"http://{host}/app", "settled")
        assert missing(BY_NAME["app"], pdf) == []
        assert 0 < sum(answer["phases"].values()) <= answer["ms"] + 1
        assert answer["verdict"] == "complete"


@pytest.mark.slow
def test_cold_start_and_throughput_have_figures_for_every_tool(host: str) -> None:
    chosen = [named(host, name) for name in ("floor", "load", "settled")]
    with Field(chosen, print) as field:
        runs = cold(field, chosen, host, print, 1, ("settled", "floor"))
    for tools_ in runs.values():
        for run in tools_.values():
            assert len(run["ms"]) == 1 and 0 < run["marks"]["started"][0] < run["ms"][0]
    [sizes] = throughput(chosen, host, print, (1,), 1, 1.0).values()
    assert sizes.keys() == {"floor", "load"}
    for one in sizes.values():
        assert one["per_second"][0] > 0 and one["per_core_second"][0] > 0 and one["bytes_per_job"][0] > 10_000_000


def test_api_is_measured_beside_its_bare_calls() -> None:
    found = api(3, 1, print)
    assert {kind: {name: len(took) for name, took in found[kind].items()} for kind in ("hit", "miss")} == {
        "hit": {"api": 3, "floor": 3},
        "miss": {"api": 3, "floor": 3},
    }
    assert {name: len(took) for name, took in found["start"].items()} == dict.fromkeys(
        ("import", "bootstrap", "first request"), 1
    )
