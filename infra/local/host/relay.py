"""Lets the containers of `sam local` reach the servers of this machine.

`sam local` puts containers on Docker's bridge, where 127.0.0.1 is the container itself. So each port is also served at
this machine's address on the bridge, which no other machine can reach.

Source: Docker's documentation, "Bridge network driver".
"""

import asyncio
import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_DOCKER_SECONDS = 10.0


def bridge_address() -> str:
    """Returns this machine's address on Docker's bridge, such as "172.17.0.1".

    Raises:
        OSError: Docker does not answer.
    """
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"Docker does not answer within {_DOCKER_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise OSError(f"Docker does not answer: {done.stderr.strip()}")
    [config, *_] = json.loads(done.stdout)
    # A daemon that chose the network itself may omit the gateway, which is the first address then.
    return str(config.get("Gateway") or next(ipaddress.ip_network(config["Subnet"]).hosts()))


class Relay:
    """Serves ports of 127.0.0.1 at another address too, until `close`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._servers: list[asyncio.Server] = []

    async def serve(self, ports: Iterable[int]) -> None:
        """Starts to serve the ports.

        Raises:
            OSError: A port is in use at the relay's address.
        """
        for port in ports:
            self._servers.append(await asyncio.start_server(_Forwarder(port).connected, self.address, port))

    def translated(self, text: str) -> str:
        """Returns a text with each address of 127.0.0.1 replaced by the relay's."""
        return text.replace("127.0.0.1:", f"{self.address}:")

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def share_variables(relay: Relay, functions: Mapping[str, Mapping[str, str]], file: Path, link: Path) -> None:
    """Serves all ports in the functions' variables by the relay, and writes the file for `sam local --env-vars`.

    Args:
        relay: The relay.
        functions: The variables of each function, by its name.
        file: The file to write.
        link: A link that leads to the file of the stack that started last; `remove_link` removes it.
    """
    text = json.dumps(functions, indent=1)
    await relay.serve({int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)})
    file.write_text(relay.translated(text), "utf-8")
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(file)
    scratch.rename(link)


def remove_link(link: Path, file: Path) -> None:
    """Removes a link if it leads to this file, and not to that of a stack that started later."""
    if link.is_symlink() and link.readlink() == file:
        link.unlink()


class _Forwarder:
    def __init__(self, port: int) -> None:
        self._port = port

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forwards all bytes and the end of the stream."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
