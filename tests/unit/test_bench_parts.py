"""The parts of the benchmark that parse and decide: pages, checks of PDFs, processes, and missing peers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.aws.post_policy import Form, refusal
from infra.local.settings import PROJECT
from tests.bench.__main__ import ON_STACK, PARTS, OtherMachine, kept
from tests.bench.check import missing, squeeze
from tests.bench.local import s3_client
from tests.bench.machine import cpu_model
from tests.bench.pages import MIXED, PAGES, Page
from tests.bench.peers_install import PINS, NotInstalled, install, run
from tests.bench.processes import Process, Tree, below, kill, parsed
from tests.bench.rate import upload_form
from tests.bench.site import answers
from tests.bench.tools import Tool, environment_of, missing_reason, tools
from tests.bench.usage import Usage

# ---- machines ------------------------------------------------------------------------------------------------------

HERE = {"cpu": "A CPU", "cpus": 2, "memory_gb": 8.1, "kernel": "6.1", "load_before": 0.5}
THERE = {**HERE, "cpu": "Another CPU"}


@pytest.mark.parametrize(
    ("before", "parts", "stays"),
    [
        ({}, ["warm"], True),  # the first run
        (HERE, ["warm"], True),
        (HERE, PARTS, True),
        ({**HERE, "kernel": "6.2", "load_before": 1.5}, ["scale"], True),
        (THERE, PARTS, False),
        (THERE, tuple(reversed(PARTS)), False),
    ],
)
def test_results_of_this_machine_stay(before: dict[str, Any], parts: list[str], stays: bool) -> None:
    known = {"machine": before, "warm": {"small": {}}} if before else {}
    assert kept(known, HERE, parts) == (known if stays else {})


@pytest.mark.parametrize("parts", [["warm"], sorted(ON_STACK), PARTS[:-1]])
@pytest.mark.parametrize("changed", [{"cpu": "Another CPU"}, {"cpus": 4}, {"memory_gb": 16.2}])
def test_figures_of_two_machines_are_not_mixed(changed: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(OtherMachine, match=r"from another machine: .*`make bench`, or use QUICK=1"):
        kept({"machine": {**HERE, **changed}}, HERE, parts)


# ---- simulated renders ---------------------------------------------------------------------------------------------


def test_form_of_a_simulated_render_keeps_to_its_own_policy() -> None:
    form = upload_form(s3_client("http://127.0.0.1:9"), "bucket", "upload/a/c.pdf")
    fields = {name.lower(): value for name, value in form.fields.items()}
    assert refusal(Form(fields, size=100), "bucket") is None
    assert refusal(Form({**fields, "acl": "public-read"}, size=100), "bucket") is not None


# ---- pages and checks --------------------------------------------------------------------------------------------


def test_pages_are_of_at_least_ten_kinds_and_expect_something() -> None:
    assert len({page.name for page in PAGES}) == len(PAGES) >= 10
    assert all(page.texts for page in PAGES)
    assert set(MIXED) <= {page.name for page in PAGES if not page.late}


def test_server_has_everything_that_the_pages_name(tmp_path: Path) -> None:
    named = {name for page in PAGES for name in re.findall(r"""(?:src="|href="|url\(|fetch\(")([\w./-]+)""", page.html)}
    for name in named:
        if name.startswith("font/"):
            (tmp_path / Path(name).name).write_bytes(b"font")
    assert len(named) > 90
    assert {f"/{name}" for name in named} <= answers(tmp_path).keys()


def pdf(*lines: str, sheets: int = 1) -> bytes:
    """Makes a PDF with the same lines of text in Helvetica on each sheet."""
    shown = " ".join(f"1 0 0 1 72 {700 - 20 * number} Tm ({text}) Tj" for number, text in enumerate(lines))
    content = f"BT /F1 12 Tf {shown} ET"
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + sheets))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {sheets} /MediaBox [0 0 595 842]"
        f" /Resources << /Font << /F1 {font} >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        *["<< /Type /Page /Parent 2 0 R /Contents 3 0 R >>"] * sheets,
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(bodies) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF\n".encode()


@pytest.mark.parametrize(
    ("page", "printed", "expected"),
    [
        (Page("p", "", "", ("Order 80",)), pdf("Order 80"), []),
        (Page("p", "", "", ("Order 80",)), pdf("Order", "80"), []),
        (Page("p", "", "", ("Order 80", "All")), pdf("Loading"), ["“Order 80”", "“All”"]),
        (Page("p", "", "", ("a",), absent=("Loading",)), pdf("a Loading"), ["(shows “Loading” instead)"]),
        (Page("p", "", "", ("a",), sheets=3), pdf("a", sheets=3), []),
        (Page("p", "", "", ("a",), sheets=3), pdf("a", sheets=2), ["sheets: 2 of 3"]),
        (Page("p", "", "", ("a",), images=2), pdf("a"), ["pictures: 0 of 2"]),
        (Page("p", "", "", ("a",), fonts=("Courier|Helv",)), pdf("a"), []),
        (Page("p", "", "", ("a",), fonts=("Courier",)), pdf("a"), ["the font Courier"]),
        (Page("p", "", "", ("a",), glyphs="abcxyz"), pdf("abcxyz"), []),
        (Page("p", "", "", ("a",), glyphs="港口在"), pdf("a"), ["most glyphs"]),
        (Page("p", "", "", ("a",)), b"<html>", ["it is no PDF"]),
        (
            Page("p", "", "", ("a",)),
            b"%PDF-1.4 broken",
            ["it cannot be read"],
        ),
        (Page("p", "", "", ("a",)), b"", ["it is no PDF"]),
    ],
)
def test_missing_content_of_a_pdf_is_named(page: Page, printed: bytes, expected: list[str]) -> None:
    assert missing(page, printed) == expected


@given(st.text(alphabet="ab \n\t\u00ad\ufffe"))
def test_squeezed_text_has_neither_space_nor_soft_hyphen(text: str) -> None:
    assert squeeze(text) == re.sub("[^ab]", "", text)


# ---- processes and tools -----------------------------------------------------------------------------------------


def test_line_of_the_process_table_is_parsed_whatever_its_name() -> None:
    fields = "S 41 1 1 0 -1 4194560 1 2 3 4 150 50 1000 200 20 0 1 0 5 6 7"
    assert parsed(f"42 (a (b) c) {fields}").parent == 41
    assert parsed(f"42 (a (b) c) {fields}").begun == 5
    assert parsed(f"42 ()) {fields}").seconds < parsed(f"42 (x) {fields}").reaped


def test_descendants_are_found_and_others_are_not() -> None:
    table = {pid: Process(parent, 0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 4))}
    assert below(table, 2) == {2, 3, 4, 6}
    assert below(table, 9) == set()


def test_own_process_has_time_and_memory() -> None:
    tree = Tree(os.getpid())
    assert os.getpid() in tree.pids()
    assert tree.seconds() > 0 and tree.private_bytes() > 1_000_000


def test_processes_are_killed_by_id_and_start_and_no_others_are() -> None:
    with subprocess.Popen(["sleep", "600"]) as one, subprocess.Popen(["sleep", "600"]) as other:
        try:
            members = Tree(one.pid).members()
            assert members.keys() == {one.pid}
            kill(members | {other.pid: -1})  # a later process with the id of an earlier one
            assert one.wait(60) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            other.kill()


class OneInstance:
    """A stack whose process is this one, and whose only instance is a child of it."""

    def __init__(self, pid: int) -> None:
        self.ready = {"pid": os.getpid()}
        self._pid = pid

    def instances(self) -> list[dict[str, Any]]:
        return [{"function": "RenderFunction", "pid": self._pid, "state": "busy"}]


def test_processor_time_below_an_instance_is_that_of_its_function() -> None:
    busy = "i = 0\nwhile True: i += 1"
    below_it = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen([sys.executable, "-c", below_it]) as instance:
        usage = Usage(OneInstance(instance.pid))  # type: ignore[arg-type] # as much of a stack as it needs
        members: dict[int, int] = {}
        try:
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline and dict(usage.since()).get("render", 0) < 0.1:
                time.sleep(0.05)
            assert dict(usage.since())["render"] >= 0.1
            members = Tree(instance.pid).members()
            assert len(members) == 2
        finally:
            kill(members or {instance.pid: Tree(instance.pid).members()[instance.pid]})


def test_model_of_the_processor_is_read() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: A  CPU @ 2 GHz\nmodel name\t: B\n") == "A CPU @ 2 GHz"
    assert cpu_model("nothing") != ""


def test_peer_that_cannot_be_installed_is_named_and_the_others_are_installed() -> None:
    done = []

    def broken() -> None:
        raise NotInstalled("no network")

    missing = install({("a", "b"): broken, ("c",): lambda: done.append("c")})
    assert missing == {"a": "no network", "b": "no network"}
    assert done == ["c"]


def test_tool_is_missing_with_the_reason_of_its_installation_or_its_program() -> None:
    one = Tool("a", "A", "", command=("sh", "{url}"))
    assert missing_reason(one, {}) is None
    assert missing_reason(one, {"a": "no network"}) == "no network"
    assert missing_reason(Tool("b", "B", "", worker=("/nowhere/a-tool",)), {}) == "a-tool is not installed"


def test_environment_of_a_tool_has_nothing_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    for one in tools("127.0.0.1:80"):
        found = environment_of(one, Path("/scratch"))
        assert "AWS_SECRET_ACCESS_KEY" not in found
        assert found["TMPDIR"] == found["HOME"] == "/scratch"
        assert not any("{" in value for value in found.values())


def test_pins_of_the_peers_carry_no_registry() -> None:
    lock = json.loads((PINS / "package-lock.json").read_text("utf-8"))
    assert len(lock["packages"]) > 5
    assert not any("resolved" in package for package in lock["packages"].values())
    pinned = json.loads((PINS / "package.json").read_text("utf-8"))["dependencies"].values()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["sh", "-c", "echo first; echo 'no route to host' >&2; exit 1"], "sh: no route to host"),
        (["sh", "-c", "exit 3"], "sh: exit status 3"),
        (["/nowhere/a-tool"], "a-tool: FileNotFoundError"),
        (["sh", "-c", f"echo {PROJECT}/a/file is broken; exit 1"], "sh: ./a/file is broken"),
    ],
)
def test_reason_of_a_failed_step_is_its_last_line(command: list[str], reason: str) -> None:
    with pytest.raises(NotInstalled) as failed:
        run(command)
    assert str(failed.value) == reason
