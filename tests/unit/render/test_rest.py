"""Tests how the answers of documents, which cannot be trusted, become states and looks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.page.look import Look, with_frames
from functions.render.page.rest import State, read, together
from functions.render.page.scripts import in_turn, script
from functions.render.page.witness import may_pass
from functions.render.pdf.ink import as_picture, ink
from tests.fuzz.targets import pdf

WHOLE = {
    "fonts": True, "images": 2, "playing": 1, "scripts": True, "pending": 3, "silent": 1, "still": 5.5,
    "observers": 4, "height": 900, "window": 720,
}  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(WHOLE)), inner, max_size=12),
    max_leaves=20,
)


def test_answer_becomes_a_state() -> None:
    assert read(WHOLE) == State(True, 2, 1, True, 3, 1, 5.5, 4, 900, 720)


@pytest.mark.parametrize("answer", [None, 7, [], {}, {**WHOLE, "images": "many"}, {**WHOLE, "height": float("inf")}])
def test_invalid_answer_counts_as_rest(answer: Any) -> None:
    assert read(answer) == State()


@given(JSON)
def test_any_answer_is_read_without_an_error(answer: Any) -> None:
    state = read(answer)
    assert state.window >= 1


def test_page_is_as_busy_as_its_frames() -> None:
    page = State(height=100, window=50)
    busy = State(fonts=False, images=1, playing=2, scripts=True, pending=3, silent=1, still=4, observers=5, height=9)
    both = together(page, [busy, busy])
    assert both == State(False, 2, 4, True, 6, 2, 4, 10, 100, 50)
    assert together(page, []) == page


@pytest.mark.parametrize(
    ("state", "loading"),
    [
        (State(), False),
        (State(pending=3, still=0), False),
        (State(fonts=False), True),
        (State(images=1), True),
        (State(playing=1), True),
    ],
)
def test_fonts_images_and_animations_count_as_loading(state: State, loading: bool) -> None:
    assert state.loading is loading


@pytest.mark.parametrize(
    ("text", "filtered", "glyphs", "expected"),
    [
        (300, 300, 0, 300),  # all text
        (300, 300, 290, 0),  # the paper has the text all the same
        (1000, 19, 900, 0),  # an ornament
        (1000, 50, 900, 0),  # a small part
        (1000, 120, 850, 120),
        (100, 20, 70, 20),
    ],
)
def test_filtered_text_is_a_picture_if_the_paper_lacks_it(text: int, filtered: int, glyphs: int, expected: int) -> None:
    paper = ink(pdf(text=b"<0041> Tj\n" * glyphs))
    assert as_picture(Look(text=text, filtered=filtered), paper) == expected


def test_look_adds_the_faults_of_frames_and_keeps_the_title() -> None:
    page = Look(title="page", text=10, images_missing=("a",), broken_images=1)
    frame = Look(title="frame", text=5, media=True, images_missing=("a", "b"), broken_images=2, no_webgl=1, login=True)
    both = with_frames(page, [frame])
    assert (both.title, both.text, both.media, both.login) == ("page", 15, True, False)
    assert (both.images_missing, both.broken_images, both.no_webgl) == (("a", "b"), 3, 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, False), (408, True), (410, False), (429, True), (500, True), (501, False), (503, True), (505, False)],
)
def test_status_says_whether_a_retry_can_help(status: int, expected: bool) -> None:
    assert may_pass(status) is expected


@pytest.mark.parametrize("name", ["ask", "boxes", "cut", "height", "lengths", "look", "open", "press", "scroll", "top"])
def test_script_begins_like_a_function(name: str) -> None:
    assert "=>" in script(name).splitlines()[0]


def test_joined_scripts_get_their_own_arguments() -> None:
    text = in_turn("open", "press")
    assert text.startswith("async given =>")
    assert text.index("given[0]") < text.index("given[1]")
