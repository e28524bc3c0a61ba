"""Tests that the connection to the broker is reused, replaced when it is dead, and bounded in every wait."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.integration.conftest import API, Broker
from urlshot.adapters import broker as broker_module
from urlshot.adapters.broker import Publisher
from urlshot.core.errors import Transient
from urlshot.core.messages import EXCHANGE, QUEUE, START


class Line:
    """A TCP proxy to the broker that can fall silent: it closes no connection, but passes no bytes any more.

    A frozen function sees this when a NAT gateway forgets its connection.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"amqp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.opened = 0
        self._silent: set[int] = set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        """Silences the existing connections; new ones work."""
        self._silent.update(range(1, self.opened + 1))

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target, 5)
            self.opened += 1
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(self.opened, source, target), daemon=True).start()

    def _pass_on(self, number: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if number not in self._silent:
                    target.sendall(data)


@pytest.fixture
def line(broker: Broker) -> Iterator[Line]:
    line = Line(broker.url)
    yield line
    line.close()


@pytest.fixture
def publisher(line: Line) -> Iterator[Publisher]:
    publisher = Publisher(line.url, lambda: API)
    yield publisher
    publisher.close()


def publish(publisher: Publisher) -> None:
    publisher.publish(EXCHANGE, START, b'{"url": "https://example.com/"}')


def test_one_connection_serves_many_publishes(publisher: Publisher, line: Line, broker: Broker) -> None:
    for _ in range(5):
        publish(publisher)
    publisher.check()
    assert line.opened == 1
    assert len(broker.take(QUEUE)) == 5


def test_silent_connection_is_replaced_after_one_confirm_timeout(
    publisher: Publisher, line: Line, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "CONFIRM_SECONDS", 0.5)
    publish(publisher)
    line.fall_silent()
    begun = time.monotonic()
    publish(publisher)
    assert 0.5 <= time.monotonic() - begun < broker_module.PUBLISH_SECONDS
    assert line.opened == 2
    assert len(broker.take(QUEUE)) == 2


def test_idle_connection_is_replaced_without_a_wait(
    publisher: Publisher, line: Line, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that was frozen for an hour may hold a dead socket without any sign of it."""
    publish(publisher)
    line.fall_silent()
    an_hour_later = time.monotonic() + 3600
    monkeypatch.setattr(broker_module.time, "monotonic", lambda: an_hour_later)
    publish(publisher)
    assert line.opened == 2
    assert len(broker.take(QUEUE)) == 2


def test_publish_waits_for_others_no_longer_than_one_may_take(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "PUBLISH_SECONDS", 0.2)
    with publisher._turn("a publish that hangs"), pytest.raises(Transient, match="queue_unavailable"):
        publish(publisher)
    publish(publisher)
