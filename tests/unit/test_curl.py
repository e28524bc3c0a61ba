"""The documented curl commands never send the API key to the target of a redirect."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.commands import blocks, first_call
from tests.unit.stacks import PROJECT

KEY = "the-key"
TOUR = PROJECT / "tests" / "e2e" / "examples" / "tour.sh"


@dataclass
class Site:
    """A host that records requests and gives all of them the same answer."""

    address: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """The path and the API key of each request."""


@contextmanager
def site(status: int, body: bytes, location: str = "") -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.asked.append((self.path, self.headers.get("x-api-key")))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - http.server prescribes this name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def script(name: str, endpoint: str) -> str:
    if name == "tour":
        return f"API={endpoint} KEY={KEY} PAGE=https://example.com/\n{TOUR.read_text()}"
    return f"out() {{ echo {endpoint}; }}; aws() {{ echo {KEY}; }}\n{first_call()}"


@pytest.mark.parametrize("name", ["tour", "first call"])
def test_example_keeps_the_key_from_the_redirects_target(name: str, tmp_path: Path) -> None:
    with site(200, b"%PDF-1.7") as store, site(303, b"{}", f"{store.address}/file.pdf?signed") as api:
        command = ["bash", "-eu", "-c", script(name, api.address)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.pdf").read_bytes() == b"%PDF-1.7"
    assert {key for _, key in api.asked} == {KEY}
    assert store.asked == [("/file.pdf?signed", None)]


@pytest.mark.parametrize("name", ["tour", "first call"])
def test_example_saves_no_problem_as_a_pdf(name: str, tmp_path: Path) -> None:
    with site(403, b'{"code": "api_key_required"}') as api:
        command = ["bash", "-c", script(name, api.address)]
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert api.asked
    assert not (tmp_path / "page.pdf").exists()


def test_no_block_of_commands_follows_redirects_with_a_key() -> None:
    seen = [block for block in (*blocks(), TOUR.read_text()) if "curl" in block and "x-api-key" in block]
    assert len(seen) >= 3
    for block in seen:
        commands = re.sub(r"#.*|\\\n", "", block)
        assert not re.search(r"--location|\s-[a-zA-Z]*L", commands), block
