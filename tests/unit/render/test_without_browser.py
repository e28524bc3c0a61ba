"""Tests the parts that need neither network nor browser: budget, page count, settings, sealing."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfWriter

from functions.render import app, budget
from functions.render.budget import Budget
from functions.render.page.witness import endpoint
from functions.render.pdf.document import NotPdf, page_count
from functions.render.settings import RenderSettings
from functions.render.upload import multipart
from urlshot.core.errors import Broken, Transient

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("limit", "remaining", "total", "page"),
    [
        (60, None, 60, 52),
        (60, 90, 60, 52),
        (60, 50, 46, 38),
        (10, 90, 10, 7.5),
        (60, 8, 4, 3),
    ],
)
def test_shorter_of_two_limits_counts_and_leaves_time_to_upload(
    clock: list[float], limit: float, remaining: float | None, total: float, page: float
) -> None:
    both = Budget(limit, remaining)
    assert both.left() == total
    assert both.for_page() == page
    assert Budget(limit, remaining, upload=False).for_page() == total


def test_budget_ends(clock: list[float]) -> None:
    ends = Budget(10)
    clock[0] += 8
    assert ends.left() == 2
    with pytest.raises(Transient) as caught:
        ends.for_page()
    assert caught.value.code.name == "timeout"
    with pytest.raises(Transient):
        Budget(60, 3).left()


def test_phases_add_up(clock: list[float]) -> None:
    measured = Budget(10)
    for _ in range(2):
        with measured.phase("print"):
            clock[0] += 0.25
    assert measured.phases == {"print": 500.0}


def test_phases_cover_the_time_between_them_and_a_phase_that_fails(clock: list[float]) -> None:
    measured = Budget(10)
    clock[0] += 0.125
    with measured.phase("start"):
        clock[0] += 0.25
    clock[0] += 1
    with contextlib.suppress(KeyError), measured.phase("print"):
        clock[0] += 0.5
        raise KeyError
    assert measured.phases == {"start": 375.0, "print": 1500.0}
    assert sum(measured.phases.values()) == measured.elapsed() * 1000


def _pdf(pages: int) -> bytes:
    """Returns a PDF with a plain cross-reference table."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


@pytest.mark.parametrize("pages", [1, 2, 9, 100])
def test_pages_are_counted(pages: int) -> None:
    assert page_count(_pdf(pages)) == pages


@pytest.mark.parametrize("broken", [b"", b"%PDF-1.4", _pdf(1)[:-9], b"x" + _pdf(1), b"%PDF-1.4\nstartxref\n0\n%%EOF\n"])
def test_page_count_of_an_incomplete_pdf_raises(broken: bytes) -> None:
    with pytest.raises(NotPdf):
        page_count(broken)


@given(st.integers(0, 600), st.binary(max_size=20))
def test_damage_to_a_pdf_is_noticed_or_harmless(at: int, damage: bytes) -> None:
    pdf = bytearray(_pdf(2))
    pdf[at : at + len(damage)] = damage
    with contextlib.suppress(NotPdf):
        assert page_count(bytes(pdf)) >= 1


@given(st.dictionaries(st.text("abcKEY-", min_size=1, max_size=9), st.text(max_size=30), max_size=5))
def test_every_field_has_one_part_and_the_file_is_last(fields: dict[str, str]) -> None:
    before, after = multipart(fields, "0123456789abcdef")
    assert before.count(b"--0123456789abcdef\r\n") == len(fields) + 1
    assert before.rpartition(b"--0123456789abcdef\r\n")[2].startswith(b'Content-Disposition: form-data; name="file"')
    assert after == b"\r\n--0123456789abcdef--\r\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/", ("example.com", 80)),
        ("https://[2001:db8::1]/", ("2001:db8::1", 443)),
        ("https://example.com:8443/x", ("example.com", 8443)),
        ("about:blank", ("", 0)),
        ("nonsense", ("", 0)),
    ],
)
def test_endpoint_of_a_url(url: str, expected: tuple[str, int]) -> None:
    assert endpoint(url) == expected


def test_settings_deny_own_hosts_and_open_local_ones_only_locally() -> None:
    settings = RenderSettings.read(
        {
            "OWN_HOST": "api.example.com",
            "PUBLIC_URL": "https://PDF.example.com/v1",
            "DENY_HOSTS": "b.example.com, *.c.org",
        }
    )
    assert settings.egress.own == {"api.example.com", "pdf.example.com"}
    assert settings.egress.denied == {"b.example.com", "*.c.org"}
    assert settings.egress.opened == frozenset()
    local = {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "LOCAL_ALLOW": "127.0.0.1:8000"}
    assert RenderSettings.read(local).egress.opened == {("127.0.0.1", 8000)}
    with pytest.raises(Broken, match="LOCAL_ALLOW"):
        RenderSettings.read({"LOCAL_ALLOW": "127.0.0.1:8000"})


def test_import_of_the_handler_starts_nothing() -> None:
    assert app._renderer is None


def test_sealed_process_hides_its_environment_from_its_children() -> None:
    """A child of the same user can read the parent's first environment before the sealing, and not after it."""
    script = textwrap.dedent(
        """
        import ctypes, os, sys
        from functions.render.browser.seal import seal

        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable, as a function starts; the change of user reset this

        def child_reads():
            pid = os.fork()
            if pid == 0:
                try:
                    secret = b"made-up" in open(f"/proc/{os.getppid()}/environ", "rb").read()
                except PermissionError:
                    secret = False
                os._exit(1 if secret else 0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1

        before = child_reads()
        seal(os.environ)
        print(before, child_reads(), sorted(name for name in os.environ if name.startswith("AWS_")))
        """
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "shared")]),
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_SESSION_TOKEN": "made-up",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_LAMBDA_FUNCTION_NAME": "render",
        "AWS_REGION": "eu-west-1",
    }
    result = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True False ['AWS_LAMBDA_FUNCTION_NAME', 'AWS_REGION']"
