"""A private RabbitMQ node: own folder, own ports, own epmd, current user; or a broker that is there already.

Started straight from /usr/lib/rabbitmq/bin, not by the /usr/sbin wrapper, which changes the user and thereby escapes
our signals. epmd, which nodes start in the background and leave behind, is started by us in the foreground first.

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
START_SECONDS = 90.0  # 7 s on two idle cores, measured; several times that when they are busy
_EPMD_SECONDS = 5.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {console}
default_user = {user}
default_pass = {password}
# on loopback only anyway; the list would refuse users who come by another local address
loopback_users = none
log.file = false
log.console = true
log.console.level = info
# statistics are for the management page; the defaults keep a small machine busy
collect_statistics_interval = 10000
management.rates_mode = basic
# a small footprint: refuse to grow into what the browsers need
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
"""


class BrokerError(Exception):
    """The broker does not start or cannot be used; the text says why, with the last lines of its log."""


class Rabbit:
    """A node of our own. `died` resolves when it ends by itself.

    `tick` is the interval, in milliseconds, at which a quorum queue reports its figures to the management API.
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

    @property
    def amqp(self) -> str:
        return f"amqp://127.0.0.1:{self.amqp_port}"

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    @property
    def died(self) -> "asyncio.Future[int]":
        if self._node is None:
            raise BrokerError("RabbitMQ has not been started")
        return self._node.exited

    async def start(self, user: str, password: str) -> None:
        """Starts epmd and the node and waits until the node says that it is up. Errors: `BrokerError`."""
        self._ready = asyncio.get_running_loop().create_future()
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
        cookie.chmod(0o400)  # Erlang refuses one that others may read
        environment = {
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
            # the script becomes the node itself, in place of a shell that waits for it: one pid to know
            "RABBITMQ_ALLOW_INPUT": "1",
            # schedulers of an idle node must not spin; distribution listens on loopback only
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
            f" -rabbit quorum_tick_interval {self._tick}",
        }
        try:
            self._epmd = await Child.start(["epmd"], environment=environment, listener=self._listener)
            await self._epmd_answers(self._epmd)
            self._node = await Child.start(
                [SERVER, "-noinput"],
                environment=environment,
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
        """Ends node and epmd at once.

        By SIGKILL: the folder goes with the stack, so there is nothing to save, and an orderly stop takes 6 s, five
        of which the management plugin waits for itself (measured).
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
        """Epmd says nothing when it is up, so ask; without it the node would start one of its own, and leave it."""
        async with asyncio.timeout(_EPMD_SECONDS):
            while epmd.alive:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._epmd_port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)
        raise BrokerError("epmd, Erlang's port mapper, did not start")


class ExistingBroker:
    """A broker that runs already: URLSHOT_AMQP_URL, and URLSHOT_RABBITMQ_API for its management API.

    It must be for urlshot alone. Exchanges, queues, policies and users are made in the default vhost and stay there.
    The user in the URL must be an administrator.
    """

    def __init__(self, url: str, api: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname or not parts.username or not parts.password:
            raise BrokerError("URLSHOT_AMQP_URL must be amqp://user:password@host[:port]")
        if parts.path not in ("", "/", "/%2F", "/%2f"):
            raise BrokerError("URLSHOT_AMQP_URL: urlshot uses the default vhost, so leave the path out")
        default = 5671 if parts.scheme == "amqps" else 5672
        self.amqp = f"{parts.scheme}://{parts.hostname}:{parts.port or default}"
        self.console = (api or f"http://{parts.hostname}:15672").rstrip("/")
        self.user, self.password = unquote(parts.username), unquote(parts.password)

    @classmethod
    def from_environment(cls) -> "ExistingBroker | None":
        url = os.environ.get("URLSHOT_AMQP_URL")
        return cls(url, os.environ.get("URLSHOT_RABBITMQ_API")) if url else None


def with_credentials(url: str, user: str, password: str) -> str:
    """The broker's URL for a plain AMQP client."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}/"
