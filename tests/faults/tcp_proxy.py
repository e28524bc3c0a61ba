"""A TCP proxy in front of RabbitMQ, which cuts, blocks and slows connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.faults.armory import FREEZE_SECONDS, MINUTES, MINUTES_SECONDS, Armory
from tests.faults.owners import Stopped, kill
from tests.faults.stages import stages_received, stages_sent

TCP_FAULTS = ("cut before", "cut after", "half-open", "slow")
"""Faults of one connection, when a message passes: before it is forwarded, or when the other side has it."""
OWNER_FAULTS = ("killed before", "killed after", "frozen before", "frozen after")
"""Faults of the function that publishes; `after` is when the broker has confirmed, unknown to the function."""

SLOW_SECONDS = 3.0


class _Connection:
    """One connection of a client, and its connection to the broker."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.client = client
        self.broker = broker
        self.port = client.get_extra_info("peername")[1]
        self.blocked_until = 0.0
        """Until when all bytes are dropped, in both directions; the connection breaks then."""
        self.on_answer: str | None = None
        """The fault that hits when the broker sends the next bytes."""

    def abort(self) -> None:
        self.client.transport.abort()
        self.broker.transport.abort()


class TcpProxy:
    """Serves a port of 127.0.0.1; all methods belong to one event loop.

    Args:
        port: The port of the broker on 127.0.0.1.
        armory: Draws the faults.
        find: Returns the function's process that has the local port of a connection.
    """

    def __init__(self, port: int, armory: Armory, find: Callable[[int], Awaitable[int | None]]) -> None:
        self._upstream = port
        self._armory = armory
        self._find = find
        self._open: set[_Connection] = set()
        self._refusing_until = 0.0
        self._delay = 0.0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.cut_all()

    # ---- faults of all connections -----------------------------------------------------------------------------------

    def cut_all(self) -> None:
        for connection in list(self._open):
            connection.abort()

    def refuse(self, seconds: float) -> None:
        """Cuts all connections, and closes new ones at once for a while."""
        self._refusing_until = time.monotonic() + seconds
        self.cut_all()

    def block_all(self, seconds: float) -> None:
        """Drops all bytes of the open connections for a while, then breaks the connections."""
        for connection in list(self._open):
            self._block(connection, seconds)

    def slow_all(self, seconds: float) -> None:
        """Delays all bytes by some seconds; 0 ends that."""
        self._delay = seconds

    def _block(self, connection: _Connection, seconds: float) -> None:
        connection.blocked_until = time.monotonic() + seconds
        asyncio.get_running_loop().call_later(seconds, connection.abort)

    # ---- one connection ----------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self._refusing_until:
            writer.transport.abort()
            return
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, broker_writer)
        self._open.add(connection)
        try:
            await asyncio.gather(self._to_broker(reader, connection), self._to_client(broker_reader, connection))
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.abort()

    async def _to_broker(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while data := await reader.read(1 << 18):
            if time.monotonic() < connection.blocked_until:
                continue
            if self._delay:
                await asyncio.sleep(self._delay)
            stages = stages_sent(data)
            fault = self._armory.draw(stages, "publish") if stages else None
            if fault is not None and await self._hit(fault, connection):
                continue
            connection.broker.write(data)
            await connection.broker.drain()
        connection.abort()

    async def _to_client(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while data := await reader.read(1 << 18):
            if time.monotonic() < connection.blocked_until:
                continue
            if self._delay:
                await asyncio.sleep(self._delay)
            if (fault := connection.on_answer) is not None:
                connection.on_answer = None
                if await self._after(fault, connection):
                    continue
            stages = stages_received(data)
            fault = self._armory.draw(stages, "delivery") if stages else None
            if fault == "cut after":  # the client gets the message, and cannot acknowledge it
                connection.client.write(data)
                with suppress(OSError):
                    await connection.client.drain()
                await asyncio.sleep(0.1)
                connection.abort()
                return
            if fault is not None and await self._hit(fault, connection):
                continue
            connection.client.write(data)
            await connection.client.drain()
        connection.abort()

    async def _hit(self, fault: str, connection: _Connection) -> bool:
        """Injects a fault before bytes are forwarded; says whether they are dropped."""
        match fault:
            case "cut before":
                connection.abort()
                return True
            case "half-open":
                self._block(connection, FREEZE_SECONDS)
                return True
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
                return False
            case "killed before":
                await self._kill(connection)
                return True
            case "frozen before":
                await self._freeze(connection, FREEZE_SECONDS)
                return False
            case _:
                connection.on_answer = fault
                return False

    async def _after(self, fault: str, connection: _Connection) -> bool:
        """Injects a fault when the broker has answered; says whether the answer is dropped."""
        if fault == "cut after":
            connection.abort()
            return True
        if fault == "killed after":
            await self._kill(connection)
            return True
        await self._freeze(connection, MINUTES_SECONDS if fault == MINUTES else FREEZE_SECONDS)
        return False

    async def _kill(self, connection: _Connection) -> None:
        if (pid := await self._find(connection.port)) is not None:
            self._armory.note_hurt(pid)
            kill(pid)
        connection.abort()

    async def _freeze(self, connection: _Connection, seconds: float) -> None:
        if (pid := await self._find(connection.port)) is not None:
            self._armory.note_hurt(pid)
            stopped = await asyncio.to_thread(Stopped, pid)
            try:
                await asyncio.sleep(seconds)
            finally:
                stopped.go()
