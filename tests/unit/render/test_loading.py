"""Tests when a document counts as about to be replaced, from recorded orders of Chromium's events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.render.page import loading
from functions.render.page.loading import Loading

MAIN, OTHER = "main", "other"


class Events:
    """Stands in for a DevTools session, which only delivers events here."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Callable[[dict[str, Any]], None]]] = {}

    def on(self, event: str, handler: Callable[[dict[str, Any]], None]) -> None:
        self._handlers.setdefault(event, []).append(handler)

    def send(self, event: str, frame: str = MAIN, **fields: Any) -> None:
        facts = {"url": "http://next.test/", "delay": 0, "disposition": "currentTab", "reason": "scriptInitiated"}
        kinds = {"navigationType": "differentDocument", "frame": {"id": frame, "url": "http://next.test/"}}
        for handler in self._handlers.get(f"Page.{event}", ()):
            handler({"frameId": frame, **facts, **kinds, **fields})


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def page(events: Events) -> Loading:
    """A page whose first document has loaded."""
    page = Loading(events, MAIN, lambda: None)  # type: ignore[arg-type] # only its events matter
    for event in ("frameStartedNavigating", "frameStartedLoading", "frameNavigated", "loadEventFired"):
        events.send(event)
    events.send("frameStoppedLoading")
    assert not page.leaves
    return page


@pytest.mark.parametrize(
    "order",
    [
        ["frameRequestedNavigation"],
        ["frameStartedNavigating"],
        ["frameStartedNavigating", "frameStartedLoading", "frameClearedScheduledNavigation"],
        ["frameRequestedNavigation", "frameStartedNavigating", "frameStartedLoading"],
        # A form: the load of its own document ends between the request and the navigation.
        ["frameRequestedNavigation", "loadEventFired", "frameStoppedLoading"],
    ],
)
def test_document_leaves_until_the_next_one_is_there(page: Loading, events: Events, order: list[str]) -> None:
    for event in order:
        events.send(event)
    assert page.leaves
    events.send("frameNavigated")
    assert not page.leaves


def test_document_stays_if_a_navigation_ends_without_another_document(page: Loading, events: Events) -> None:
    """A download, or a response with status 204, ends so."""
    for event in ("frameRequestedNavigation", "frameStartedNavigating", "frameStartedLoading", "frameStoppedLoading"):
        events.send(event)
    assert not page.leaves


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("frameRequestedNavigation", {"disposition": "newTab"}),
        ("frameRequestedNavigation", {"disposition": "download"}),
        ("frameRequestedNavigation", {"frame": OTHER}),
        ("frameStartedNavigating", {"frame": OTHER}),
        ("frameStartedNavigating", {"navigationType": "sameDocument"}),
        ("frameStartedNavigating", {"navigationType": "historySameDocument"}),
        ("frameStartedLoading", {}),
    ],
)
def test_document_stays(page: Loading, events: Events, event: str, fields: dict[str, str]) -> None:
    frame = fields.pop("frame", MAIN)
    events.send(event, frame, **fields)
    assert not page.leaves


@pytest.mark.parametrize(
    ("event", "seconds"),
    [
        ("frameRequestedNavigation", loading.ASKED_SECONDS),
        ("frameStartedNavigating", loading.LEAVING_SECONDS),
    ],
)
def test_wait_for_a_navigation_is_bounded(
    page: Loading, events: Events, event: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(loading.time, "monotonic", lambda: now)
    events.send(event)
    now += seconds - 0.1
    assert page.leaves
    now += 0.2
    assert not page.leaves
