"""Runs the targets of `make fuzz` with their seeds, with earlier findings, and with damaged seeds."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.render.pdf.document import MOST_BYTES, NotPdf, page_count, page_count_of_any
from tests.fuzz.targets import TARGETS, pdf, seeds

FOUND = [
    ("marks", b"/Span <</ActualText <FEFF0F402>>> BDC <0000> Tj EMC"),  # an odd number of digits
    (
        "body",
        b"\2\7\x009\r\n\x1f\x8b\x08\x002\x94\tk\2\r\n13\r\n\xff+I\xad(Q(\x19\x89\4\0\n\xa41\xaa\xfa\0\0\0\r\n0\r\n\r\n",
    ),
    ("response", b""),
]
"""Inputs that a run of the fuzzer found; each broke a promise of the code or of its target."""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_keep_every_promise(name: str) -> None:
    given = list(seeds(name))
    assert given
    for seed in given:
        TARGETS[name](seed)


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_earlier_finding_keeps_every_promise(name: str, data: bytes) -> None:
    TARGETS[name](data)


@settings(deadline=None, max_examples=300)  # a busy machine is slow
@given(st.data())
def test_damaged_seed_keeps_every_promise(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TARGETS)))
    whole = data.draw(st.sampled_from(sorted(seeds(name))))
    at, size = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 9))
    TARGETS[name](whole[:at] + data.draw(st.binary(max_size=9)) + whole[at + size :])


@pytest.mark.parametrize(("chain", "readable"), [(10, True), (999, True), (1_000, False), (100_000, False)])
def test_changes_of_a_pdf_are_followed_without_recursion(chain: int, readable: bool) -> None:
    """Each change of a PDF adds a cross-reference table that names the one before."""
    whole = bytearray(pdf(3))
    table = int(whole.split()[-2])
    for _ in range(chain):
        before, table = table, len(whole) + 1
        whole += b"\nxref\n9 0\ntrailer\n<</Root 1 0 R /Prev %d>>" % before
    whole += b"\nstartxref\n%d\n%%%%EOF" % table
    if readable:
        assert page_count(bytes(whole)) == 3
    else:
        with pytest.raises(NotPdf):
            page_count(bytes(whole))
        assert page_count_of_any(bytes(whole)) == 3  # by the search for the root of the page tree


def test_many_object_streams_are_read_within_bounds() -> None:
    """Each stream used to copy the rest of the file, so that 50 MB took hours."""
    stream = b"<</Type /ObjStm >>\nstream\n" + zlib.compress(b"<</Type /Pages /Count 7>>") + b"\nendstream\n"
    assert page_count_of_any(b"%PDF-1.5\n" + stream) == 7
    assert page_count_of_any(b"%PDF-1.5\n" + b"<</Type /ObjStm >>\nstream\n" * (MOST_BYTES // 30)) == 0
