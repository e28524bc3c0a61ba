"""How the benchmark starts and asks tools: real processes that print, fail, lie, end and hang."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local.settings import PROJECT
from tests.bench import tools as module
from tests.bench.pages import Page
from tests.bench.tools import Failed, Tool, run_command, started
from tests.bench.warm import FAILURES, Field, Rounds, warm
from tests.unit.test_bench_parts import pdf

WORKER = """
from tests.bench.workers.protocol import Conversation
talk = Conversation()
print("noise on stdout")
class Printer:
    versions = {"made up": "1.0"}
    tidied = 0
    def print(self, url, wait):
        if url.endswith("broken"):
            raise ValueError("no such page")
        if url.endswith("exit"):
            import os
            os.write(2, b"the last words\\n")
            os._exit(3)
        return b"%PDF-" + wait.encode(), {"tidied": self.tidied}
    def tidy(self):
        self.tidied += 1
talk.mark("started")
talk.serve(Printer())
"""


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOGS", tmp_path / "logs")


def worker(code: str = WORKER, name: str = "made-up") -> Tool:
    return Tool(name, name, "", worker=(sys.executable, "-c", code), environment={"PYTHONPATH": str(PROJECT)})


def test_worker_prints_and_tidies_between_two_jobs() -> None:
    with started(worker()) as one:
        ready = one.ready()
        assert ready["versions"] == {"made up": "1.0"}
        assert one.begun <= ready["marks"]["begun"] <= ready["marks"]["started"] <= ready["ready"] <= time.monotonic()
        first, printed = one.print_page("http://a/page")
        assert printed == b"%PDF-load" and first["ms"] >= 0 and first["at"] >= ready["ready"]
        second, printed = one.print_page("http://a/page", "settled")
        assert printed == b"%PDF-settled"
        assert (first["tidied"], second["tidied"]) == (0, 1)


def test_error_of_a_job_is_its_answer_and_the_worker_goes_on() -> None:
    with started(worker()) as one:
        one.ready()
        with pytest.raises(Failed, match="ValueError: no such page"):
            one.print_page("http://a/broken")
        assert one.print_page("http://a/page")[1] == b"%PDF-load"


def test_jobs_are_repeated_in_turn_until_a_time() -> None:
    with started(worker()) as one:
        one.ready()
        until = time.monotonic() + 0.3
        one.ask({"loop": ["http://a/1", "http://a/2"], "until": until})
        answer = one.answer()
        assert answer["done"] >= 1 and time.monotonic() >= until
        one.ask({"loop": ["http://a/1", "http://a/broken"], "until": time.monotonic() + 60})
        with pytest.raises(Failed, match="no such page"):
            one.answer()


def test_last_words_of_a_worker_that_ends_are_the_reason() -> None:
    with started(worker()) as one:
        one.ready()
        with pytest.raises(Failed, match="the last words"):
            one.print_page("http://a/exit")
    with started(worker("raise SystemExit('there is no browser')")) as one, pytest.raises(Failed, match="no browser"):
        one.ready()


def test_worker_that_hangs_fails_in_time_and_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    with started(worker("import time; time.sleep(600)")) as one:
        with pytest.raises(Failed, match="no answer within"):
            one.answer(0.2)
        members = one.tree.members()
    assert members and not (members.keys() & one.tree.members().keys())


def test_command_prints_in_a_process_of_its_own_or_says_why_not() -> None:
    good = Tool("good", "", "", command=("sh", "-c", "printf '%%PDF-%s' {url} > {file}"))
    answer, printed = run_command(good, "http://a/page")
    assert printed == b"%PDF-http://a/page" and answer["ms"] > 0
    bad = Tool("bad", "", "", command=("sh", "-c", "echo first; echo 'no display' >&2; exit 1"))
    with pytest.raises(Failed, match="no display"):
        run_command(bad, "http://a/page")
    silent = Tool("silent", "", "", command=("sh", "-c", "exit 7"))
    with pytest.raises(Failed, match="exit status 7"):
        run_command(silent, "http://a/page")


@pytest.fixture
def printing(tmp_path: Path) -> dict[str, Tool]:
    """A tool that prints the right page, one that prints an empty page, and one that fails."""
    (tmp_path / "right.pdf").write_bytes(pdf("Order 80"))
    (tmp_path / "empty.pdf").write_bytes(pdf(""))

    def copies(name: str) -> Tool:
        return Tool(name, name, "", command=("cp", str(tmp_path / f"{name}.pdf"), "{file}"))

    return {name: copies(name) for name in ("right", "empty", "gone")}


def test_floor_and_urlshot_have_more_turns_than_peers(printing: dict[str, Tool]) -> None:
    own = replace(printing["right"], name="own", peer=False)
    page = Page("a", "a", "", ("Order 80",))
    with Field([printing["right"], own], print) as field:
        warm(field, [printing["right"], own], [page], "127.0.0.1:9", print, Rounds(2, 1, 600, turns=3))
    assert {name: len(cell["ms"]) for name, cell in field.warm["a"].items()} == {"right": 2, "own": 6}


def test_field_keeps_times_lacks_and_failures(printing: dict[str, Tool]) -> None:
    pages = [Page(name, name, "", ("Order 80",)) for name in ("a", "b", "c")]
    said: list[str] = []
    with Field([*printing.values(), Tool("absent", "", "", command=("/nowhere/absent",))], said.append) as field:
        warm(field, list(printing.values()), pages, "127.0.0.1:9", said.append, Rounds(2, 1, 600))
    cells: dict[str, Any] = field.warm["a"]
    assert len(cells["right"]["ms"]) == 2 and cells["right"]["lacks"] == []  # the round to warm up does not count
    assert len(cells["empty"]["ms"]) == 2 and cells["empty"]["lacks"] == ["“Order 80”"]
    assert cells["gone"]["ms"] == [] and "gone.pdf" in cells["gone"]["failed"]
    assert len(field.tools["gone"]["failed"]) == FAILURES and "gone" not in field.warm["c"]
    assert field.tools["absent"]["missing"] == "absent is not installed"
    assert any("absent is missing" in text for text in said)


def test_tool_without_scripts_is_not_asked_for_pages_that_need_them(printing: dict[str, Tool]) -> None:
    plain = replace(printing["right"], scripts=False)
    pages = [Page("a", "a", "", ("Order 80",)), Page("b", "b", "", ("Order 80",), script=True)]
    with Field([plain], print) as field:
        warm(field, [plain], pages, "127.0.0.1:9", print, Rounds(1, 1, 600))
    assert field.warm.keys() == {"a"}


def test_no_round_begins_after_the_time_is_over(printing: dict[str, Tool]) -> None:
    said: list[str] = []
    page = Page("a", "a", "", ("Order 80",))
    with Field([printing["right"]], said.append) as field:
        warm(field, [printing["right"]], [page], "127.0.0.1:9", said.append, Rounds(5, 1, 0))
    assert len(field.warm["a"]["right"]["ms"]) == 1
    assert said[-1] == "warm: 1 rounds in place of 5: the time is over"
