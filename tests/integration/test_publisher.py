"""Tests that the connection to the broker is reused, replaced when it is dead, and bounded in every wait."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.conftest import API, Broker
from tests.integration.test_declared import eventually
from urlshot.adapters import broker as broker_module
from urlshot.adapters.broker import Publisher
from urlshot.core.errors import Transient
from urlshot.core.messages import EXCHANGE, QUEUE, START

FUNCTION = """
import sys
from urlshot.adapters import broker
from urlshot.adapters.secrets import Credentials

broker.HEARTBEAT_SECONDS = 1
publisher = broker.Publisher(sys.argv[1], lambda: Credentials(*sys.argv[2:]))
while True:
    publisher.publish("shot_direct", "shot_direct.start", b"{}")
    print(publisher._channel.connection.sock.getsockname()[1], flush=True)
    if not sys.stdin.readline():
        break
"""
"""A function that publishes, prints the port of its connection, and does so again at each line of its input."""

CLOSE = bytes.fromhex("01 0000 0000000b 000a 0032 0000 00 0000 0000 ce")
"""The frame of the method connection.close, with reply code 0 (AMQP 0-9-1 specification, section 1.4.2.9)."""


def client_ports(url: str) -> set[int]:
    """Returns the client's port of each open connection to a server of this machine, as the kernel knows them."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if state == "01" and int(local.rpartition(":")[2], 16) == urlsplit(url).port:
                ports.add(int(remote.rpartition(":")[2], 16))
    return ports


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
        self.sent = b""
        """All bytes from the client."""
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
                if source in self._sockets[::2]:
                    self.sent += data
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


def test_broker_closes_the_connection_of_a_frozen_function(broker: Broker) -> None:
    function = subprocess.Popen(
        [sys.executable, "-c", FUNCTION, broker.url, *astuple(API)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert function.stdin is not None
    assert function.stdout is not None
    try:
        port = int(function.stdout.readline())
        assert port in client_ports(broker.url)
        function.send_signal(signal.SIGSTOP)
        eventually(lambda: port not in client_ports(broker.url))
        function.send_signal(signal.SIGCONT)
        function.stdin.write("publish\n")
        function.stdin.flush()
        assert int(function.stdout.readline()) != port
        assert len(broker.take(QUEUE)) == 2
    finally:
        function.kill()
        function.communicate()


def test_unused_connection_is_closed_with_a_word(publisher: Publisher, line: Line, broker: Broker) -> None:
    publish(publisher)
    publisher.close()
    publisher.close()
    eventually(lambda: line.sent.endswith(CLOSE))
    assert len(broker.take(QUEUE)) == 1


def test_publish_waits_for_others_no_longer_than_one_may_take(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "PUBLISH_SECONDS", 0.2)
    with publisher._turn("a publish that hangs"), pytest.raises(Transient, match="queue_unavailable"):
        publish(publisher)
    publish(publisher)
