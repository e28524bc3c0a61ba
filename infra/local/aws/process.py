"""Starts `infra.local.aws.server` (moto) in a process of its own, on a socket that listens before it starts."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from infra.local.host.ports import listen
from infra.local.host.processes import Child
from infra.local.host.waits import first_of

_START_SECONDS = 30.0
_PROJECT = Path(__file__).resolve().parents[3]


class AwsProcess:
    """Runs the AWS stand-in. Its address is known before it starts, because it inherits our listening socket."""

    def __init__(self, mails: Path, listener: Callable[[str], None], port: int = 0) -> None:
        self._socket = listen(port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._mails = mails
        self._listener = listener
        self._child: Child | None = None
        self._ready: asyncio.Future[None] | None = None

    async def start(self) -> "asyncio.Future[int]":
        """Starts the process and waits until it serves requests.

        Returns:
            A future with the return code, which is done when the process ends.

        Raises:
            RuntimeError: The process does not start.
        """
        self._ready = asyncio.get_running_loop().create_future()
        descriptor = self._socket.fileno()
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "infra.local.aws.server",
            "--fd",
            str(descriptor),
            "--mails",
            self._mails,
        ]
        # Only the necessary variables: credentials or endpoints of a real account must not reach moto.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_PROJECT), "LANG": "C.UTF-8"}
        self._child = await Child.start(
            command, environment=environment, directory=_PROJECT, listener=self._line, pass_fds=[descriptor]
        )
        await first_of(self._ready, self._child.exited, seconds=_START_SECONDS)
        if not self._ready.done():
            raise RuntimeError("the AWS stand-in (moto) did not start; its log says why")
        self.close()  # the process has a copy of the socket
        return self._child.exited

    def close(self) -> None:
        self._socket.close()

    async def end(self) -> None:
        if self._child is not None:
            await self._child.end()

    def _line(self, line: str) -> None:
        if self._ready is not None and not self._ready.done() and line.startswith("{") and "port" in json.loads(line):
            self._ready.set_result(None)
        else:
            self._listener(line)
