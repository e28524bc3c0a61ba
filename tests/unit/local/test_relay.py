"""The relay to Docker's bridge works between two loopback addresses."""

from __future__ import annotations

import asyncio

from infra.local.host.relay import Relay


async def test_relay_passes_data_both_ways_and_the_end_of_the_stream() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = Relay("127.0.0.2")
    await relay.serve([port])
    assert relay.translated(f"http://127.0.0.1:{port}/x") == f"http://127.0.0.2:{port}/x"
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.2", port)
        writer.write(b"me\n")
        assert await reader.read() == b"heard me\n"
        writer.close()
        server.close()
        reader, writer = await asyncio.open_connection("127.0.0.2", port)
        assert await reader.read() == b""  # no server listens there
        writer.close()
    relay.close()
