"""Tests that amqps connections, as to Amazon MQ, check the broker's certificate for its authority and its name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.broker.rabbitmq import Rabbit
from tests.certificates import certificate
from tests.integration.conftest import API, Broker
from urlshot.adapters.broker import Publisher
from urlshot.core.errors import Transient
from urlshot.core.messages import QUEUE, START


@dataclass
class TlsBroker:
    """The broker behind a TLS proxy: the proxy's port, and the certificate to trust."""

    port: int
    authority: Path


@pytest.fixture
async def tls_broker(topology: Rabbit, broker: Broker, tmp_path: Path) -> AsyncIterator[TlsBroker]:
    file = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", topology.amqp_port)
        for source, target in ((reader, inner_writer), (inner_reader, writer)):
            tasks.add(asyncio.create_task(pump(source, target)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield TlsBroker(server.sockets[0].getsockname()[1], file)
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def publish(url: str) -> None:
    publisher = Publisher(url, lambda: API)
    try:
        await asyncio.to_thread(publisher.publish, "shot_direct", START, b'{"url": "x"}')
    finally:
        publisher.close()


async def test_broker_with_a_trusted_certificate_gets_the_message(
    tls_broker: TlsBroker, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_broker.authority))
    await publish(f"amqps://localhost:{tls_broker.port}")
    assert len(broker.take(QUEUE)) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_broker_with_an_invalid_certificate_gets_no_message(
    tls_broker: TlsBroker, broker: Broker, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """`localhost` has an unknown authority, `127.0.0.1` a trusted certificate without this name."""
    if host != "localhost":
        monkeypatch.setenv("SSL_CERT_FILE", str(tls_broker.authority))
    with pytest.raises(Transient, match="queue_unavailable"):
        await publish(f"amqps://{host}:{tls_broker.port}")
    assert broker.take(QUEUE) == []
