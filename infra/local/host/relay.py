"""Lets containers reach this machine's servers.

`sam local` puts containers on Docker's bridge, where 127.0.0.1 is another address. Each port is served at the bridge's
address on this machine too, which no other machine can reach.

Source: Docker's documentation, "Bridge network driver". (`sam local --docker-network host` connects to nothing else.)
"""

import asyncio
import ipaddress
import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress

_DOCKER_SECONDS = 10.0


def bridge_address() -> str:
    """This machine's address on Docker's bridge, e.g. "172.17.0.1". Errors: OSError when no Docker answers."""
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"Docker does not answer within {_DOCKER_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise OSError(f"Docker does not answer: {done.stderr.strip()}")
    [config, *_] = json.loads(done.stdout)
    # a daemon that chose the network itself may leave the gateway out: it is the first address
    return str(config.get("Gateway") or next(ipaddress.ip_network(config["Subnet"]).hosts()))


class Relay:
    """Ports of 127.0.0.1, served at another address as well until `close`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._servers: list[asyncio.Server] = []

    async def serve(self, ports: Iterable[int]) -> None:
        """Errors: OSError when a port is taken there."""
        for port in ports:
            self._servers.append(await asyncio.start_server(_Way(port).take, self.address, port))

    def here(self, text: str) -> str:
        """An address of 127.0.0.1 as one of the relay's."""
        return text.replace("127.0.0.1:", f"{self.address}:")

    def close(self) -> None:
        for server in self._servers:
            server.close()


class _Way:
    def __init__(self, port: int) -> None:
        self._port = port

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on all bytes, and the end of the stream."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
