"""Runs a private RabbitMQ node with its own folder, ports and epmd, or uses an existing broker.

The node is started from /usr/lib/rabbitmq/bin. The wrapper in /usr/sbin changes the user, so our signals would not
reach it. A node would start epmd in the background and leave it running, so this module starts epmd first, in the
foreground.

Source: RabbitMQ's "Configuration", "Networking" and "Command line arguments and environment variables" guides; epmd(1).
"""

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from infra.local.host.ports import PortReservation
from infra.local.host.processes import Child
from infra.local.host.waits import first_of

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 90.0  # a start takes 7 s on two idle cores (measured), and several times that on busy ones
_EPMD_SECONDS = 5.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {console}
default_user = {user}
default_pass = {password}
# the node listens on loopback only; this list would refuse users from other local addresses
loopback_users = none
log.file = false
log.console = true
log.console.level = info
# only the management page needs statistics; the defaults keep a small machine busy
collect_statistics_interval = 10000
management.rates_mode = basic
# leave memory to the browsers
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
"""


class BrokerError(Exception):
    """Reports that the broker does not start or cannot be used; the text has the reason and the last log lines."""


class Rabbit:
    """Runs a private node.

    Args:
        folder: The folder for all files of the node; it must not exist.
        listener: Gets the lines of the node's and epmd's output.
        tick: Milliseconds between the reports of a quorum queue to the management API.
    """

    def __init__(self, folder: Path, listener: Callable[[str], None], tick: int = 5000) -> None:
        self.folder = folder
        self._listener = listener
        self._tick = tick
        self._ports = [PortReservation() for _ in range(4)]
        self.amqp_port, self.console_port, self._dist_port, self._epmd_port = (item.port for item in self._ports)
        self._lines: list[str] = []
        self._epmd: Child | None = None
        self._node: Child | None = None
        self._ready: asyncio.Future[None] | None = None
        self.environment: dict[str, str] = {}
        """The environment of the node, which command line tools such as rabbitmqctl need too."""

    @property
    def amqp(self) -> str:
        return f"amqp://127.0.0.1:{self.amqp_port}"

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    @property
    def died(self) -> "asyncio.Future[int]":
        """A future with the return code of the node, which is done when the node ends."""
        if self._node is None:
            raise BrokerError("RabbitMQ has not been started")
        return self._node.exited

    async def start(self, user: str, password: str) -> None:
        """Starts epmd and the node, and waits until the node reports that it is up.

        Raises:
            BrokerError: The node does not start.
        """
        self.folder.mkdir(parents=True)
        for name in ("mnesia", "log"):
            (self.folder / name).mkdir()
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n", "utf-8")
        configuration = self.folder / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        text = _CONFIGURATION.format(amqp=self.amqp_port, console=self.console_port, user=user, password=password)
        configuration.write_text(text, "utf-8")
        cookie = self.folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(20), "utf-8")
        cookie.chmod(0o400)  # Erlang refuses a cookie that others can read
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"urlshot{self.amqp_port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # The script execs the node instead of waiting for it in a shell, so its pid is the node's.
            "RABBITMQ_ALLOW_INPUT": "1",
            # Distribution listens on loopback only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
            f" -rabbit quorum_tick_interval {self._tick}",
        }
        try:
            self._epmd = await Child.start(["epmd"], environment=self.environment, listener=self._listener)
            await self._epmd_answers(self._epmd)
        except OSError as error:
            raise BrokerError(f"RabbitMQ cannot be started: {error}") from error
        await self._start_node()

    async def kill_and_start(self) -> None:
        """Kills the node, and starts it again with the data that it had on disk.

        Raises:
            BrokerError: The node does not start.
        """
        if self._node is not None:
            await self._node.end()
        await self._start_node()

    async def _start_node(self) -> None:
        self._ready = asyncio.get_running_loop().create_future()
        try:
            self._node = await Child.start(
                [SERVER, "-noinput"],
                environment=self.environment,
                directory=self.folder,
                listener=self._line,
                subreaper=True,
            )
            await first_of(self._ready, self._node.exited, seconds=START_SECONDS)
            if not self._ready.done():
                state = "did not come up in time" if self._node.alive else f"ended ({self._node.exited.result()})"
                raise BrokerError(f"RabbitMQ {state}; its last lines:\n" + "\n".join(self._lines[-25:]))
        except OSError as error:
            raise BrokerError(f"RabbitMQ cannot be started: {error}") from error
        finally:
            self._ready.cancel()

    async def stop(self) -> None:
        """Kills the node and epmd.

        It uses SIGKILL, because the stack's folder is removed anyway, and an orderly stop takes 6 s, of which the
        management plugin waits 5 s for itself (measured).
        """
        for child in (self._node, self._epmd):
            if child is not None:
                await child.end()
        for reservation in self._ports:
            reservation.release()

    def _line(self, line: str) -> None:
        line = _COLOUR.sub("", line)
        self._lines = [*self._lines[-40:], line]
        self._listener(line)
        if "Server startup complete" in line and self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def _epmd_answers(self, epmd: Child) -> None:
        """Waits until epmd accepts connections, because it prints nothing when it is up.

        Without a running epmd, the node would start its own and leave it running.
        """
        async with asyncio.timeout(_EPMD_SECONDS):
            while epmd.alive:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._epmd_port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)
        raise BrokerError("epmd, Erlang's port mapper, did not start")


class ExistingBroker:
    """Describes an existing broker: URLSHOT_AMQP_URL, and URLSHOT_RABBITMQ_API for its management API.

    Only urlshot may use it. The stack creates exchanges, queues, policies and users in the default vhost, and leaves
    them there. The user in the URL must be an administrator.
    """

    def __init__(self, url: str, api: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname or not parts.username or not parts.password:
            raise BrokerError("URLSHOT_AMQP_URL must be amqp://user:password@host[:port]")
        if parts.path not in ("", "/", "/%2F", "/%2f"):
            raise BrokerError("URLSHOT_AMQP_URL: urlshot uses the default vhost, so omit the path")
        default = 5671 if parts.scheme == "amqps" else 5672
        self.amqp = f"{parts.scheme}://{parts.hostname}:{parts.port or default}"
        self.console = (api or f"http://{parts.hostname}:15672").rstrip("/")
        self.user, self.password = unquote(parts.username), unquote(parts.password)

    @classmethod
    def from_environment(cls) -> "ExistingBroker | None":
        url = os.environ.get("URLSHOT_AMQP_URL")
        return cls(url, os.environ.get("URLSHOT_RABBITMQ_API")) if url else None


def with_credentials(url: str, user: str, password: str) -> str:
    """Returns the URL of the broker with the credentials of a user."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}/"
