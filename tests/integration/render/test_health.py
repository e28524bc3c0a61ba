"""Tests many jobs in one process: no data passes from one job to the next, and no resources pile up."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.render.browser import browser as rules
from infra.local.host.processes import become_subreaper
from playwright_aws_lambda import Layer, launch

from .conftest import Bench, Site, _bench, relaunch, text_of, wait_for_next_page
from .processes import RUNNING, descendants

KEEP = """<p id=found>nothing</p><script>
(async () => {
  const found = [];
  if (document.cookie.includes("kept")) found.push("cookie");
  if (localStorage.kept) found.push("localStorage");
  if (sessionStorage.kept) found.push("sessionStorage");
  if ((await indexedDB.databases()).length) found.push("indexedDB");
  if (window.caches && (await caches.keys()).length) found.push("caches");
  if (navigator.storage && navigator.storage.getDirectory)
    for await (const name of (await navigator.storage.getDirectory()).keys()) found.push("file " + name);
  document.cookie = "kept=1; max-age=9999"; localStorage.kept = sessionStorage.kept = "1";
  await new Promise(done => { indexedDB.open("kept").onsuccess = done; });
  if (window.caches) await (await caches.open("kept")).put("/x", new Response("x"));
  if (navigator.storage && navigator.storage.getDirectory)
    await (await navigator.storage.getDirectory()).getFileHandle("kept", {create: true});
  document.getElementById("found").textContent = "found: " + (found.join(", ") || "none") + " of " + origin;
  fetch("/release");
})();
</script><img src="/cached.png"><img src="/hold">"""


@pytest.fixture
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LIFE_JOBS", 3)


def test_page_finds_no_data_of_the_page_before(render: Bench, site: Site, allow: set[tuple[str, int]]) -> None:
    """Covers cookies, all kinds of storage and the HTTP cache, on localhost, where a page may use them all."""
    allow.add(("localhost", site.port))
    site.page("/keep", KEEP, Set_Cookie="served=2; Max-Age=999; HttpOnly")
    site.pages["/cached.png"] = (200, {"Content-Type": "image/png", "Cache-Control": "max-age=9999"}, b"x")
    for _ in range(3):
        site.hold.clear()
        text = text_of(render(site.url("/keep", host="localhost")))
        assert f"found: none of http://localhost:{site.port}" in text
    assert site.paths().count("/cached.png") == 3
    assert not [headers for path, headers in site.hits if path == "/keep" and "Cookie" in headers]


def test_old_browser_is_replaced_between_jobs(render: Bench, site: Site, layer: Layer, short_lived: None) -> None:
    url = site.page("/p", "page")
    browser = render.renderer.browser
    wait_for_next_page(render)
    browser._jobs = 0
    before = browser.replaced
    for _ in range(6):
        assert "page" in text_of(render(url))
    wait_for_next_page(render)
    assert browser.replaced - before == 2
    assert render.deaths == []


def test_browser_that_grew_too_large_is_replaced(render: Bench, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_next_page(render)
    before = render.renderer.browser.replaced
    monkeypatch.setattr(rules, "LIFE_BYTES", 10_000_000)
    assert "page" in text_of(render(site.page("/p", "page")))
    wait_for_next_page(render)
    monkeypatch.undo()
    assert render.renderer.browser.replaced == before + 1
    assert "page" in text_of(render(site.url("/p")))


def test_page_that_needs_more_memory_than_there_is_ends_with_a_reason(
    render: Bench, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render.renderer._jobs, "_megabytes", 512)
    row = f"<tr>{'<td>cell</td>' * 8}</tr>"
    table = site.page("/large", f"<table>{row * 10_000}</table>")
    answer = render(table)
    assert answer.error is not None and answer.error["code"] == "too_much_memory"
    assert "RenderMemory is 512 MB" in answer.error["detail"]
    assert render.deaths == []
    small = f"<p>small</p><table>{row * 500}</table>"
    assert "small" in text_of(render(site.page("/small", small), options={"delay": 1}))


@pytest.mark.parametrize("single_process", [False, True], ids=["several", "single"])
def test_replaced_browser_leaves_no_defunct_process(
    alone: Bench, site: Site, monkeypatch: pytest.MonkeyPatch, single_process: bool
) -> None:
    """Covers old browsers and browsers after a bad page; this process is a subreaper, as in the local stack."""
    become_subreaper()
    others = {*descendants({*RUNNING, "Z"})}  # processes of other tests may end at any time
    monkeypatch.setattr(rules, "LIFE_JOBS", 2)
    url = site.page("/p", "page")
    relaunch(alone, single_process=single_process)
    wait_for_next_page(alone)
    before = alone.renderer.browser.replaced
    for _ in range(4):
        assert "page" in text_of(alone(url))
    wait_for_next_page(alone)
    assert alone.renderer.browser.replaced == before + 2
    for _ in range(2):
        relaunch(alone, single_process=single_process)
    assert "page" in text_of(alone(url))
    assert _defunct(others) == set()


@pytest.mark.parametrize("single_process", [False, True], ids=["several", "single"])
def test_browser_killed_while_it_starts_leaves_no_defunct_process(alone: Bench, single_process: bool) -> None:
    """Covers 30 moments of the launch: its processes are named "exe" and after their threads before they get a name."""
    become_subreaper()
    others = {*descendants({*RUNNING, "Z"})}
    for moment in range(30):
        relaunch(alone, single_process=single_process)
        time.sleep(moment / 200)
    wait_for_next_page(alone)
    assert _defunct(others) == set()


async def test_browser_that_crashes_once_while_it_starts_is_started_again(layer: Layer, tmp_path: Path) -> None:
    """It stays in several processes; a machine that allows only one would crash again."""
    (tmp_path / "bin").mkdir()
    binary = layer.inflate()
    crash = tmp_path / "bin" / binary.name
    crash.write_text(f'#!/bin/sh\nmkdir {tmp_path}/crashed && kill -SEGV $$\nexec {binary} "$@"\n')
    crash.chmod(0o755)
    chromium = launch.Chromium(crash, Layer(layer.root, tmp_path), None)
    try:
        await chromium.start()
        assert (tmp_path / "crashed").exists()
        assert not chromium.single_process
        assert await (await chromium.new_page()).session.call("Runtime.evaluate", {"expression": "1"})
    finally:
        await chromium.close()


def _defunct(others: set[int]) -> set[int]:
    """Returns the defunct descendants that are left after a while, except `others`."""
    # A live browser reaps its own tabs after a while. A process that is never reaped stays.
    deadline = time.monotonic() + 20
    while (defunct := {*descendants("Z")} - others) and time.monotonic() < deadline:
        time.sleep(0.1)
    return defunct


@pytest.fixture
def alone(
    layer: Layer, tmp_path: Path, _allowed: set[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A renderer with a scratch folder of its own, so that its files can be counted."""
    monkeypatch.setattr(launch, "REAP_SECONDS", 30.0)  # killed processes may take long to end on a busy machine
    bench = _bench(Layer(layer.root, tmp_path), _allowed)
    yield bench
    bench.renderer.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_200_renders_need_no_more_resources_than_50(alone: Bench, site: Site, tmp_path: Path) -> None:
    """Compares memory of the function and the browser, files in the scratch folder, and processes."""
    rows = "".join(f"<tr><td>{number}<td>日本 😀 мир" for number in range(300))
    site.page("/soak", f"<table>{rows}</table><script>window.a = new Array(2e6).fill(1); fetch('/soak')</script>")
    figures = {}
    for count in range(1, 201):
        assert alone(site.url("/soak")).error is None
        if count in (1, 50, 100, 150, 200):
            wait_for_next_page(alone)
            figures[count] = _figures(alone, tmp_path)
            print(count, figures[count])
    (own, chrome, files, size, processes), last = figures[50], figures[200]
    assert last[0] < own + 40_000_000
    assert last[1] < chrome + 100_000_000
    assert last[2] <= files + 20
    assert last[3] < size + 10_000_000
    assert last[4] <= processes + 1


def _figures(bench: Bench, scratch: Path) -> tuple[int, int, int, int, int]:
    """Returns bytes of this process, bytes of the browser, files and bytes in the scratch folder, processes."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    chromium = bench.renderer.browser.chromium
    sizes = []
    for path in scratch.rglob("*"):
        with contextlib.suppress(OSError):  # the browser may just have removed a file
            sizes += [path.lstat().st_size] if path.is_file() else []
    return resident, chromium.memory(), len(sizes), sum(sizes), len(chromium.processes())
