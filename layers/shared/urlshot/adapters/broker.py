"""Publishes to RabbitMQ: messages are persistent, publishes are confirmed, and every wait is bounded."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

import amqp
import amqp.exceptions
import amqp.spec

from urlshot.adapters.logs import logger
from urlshot.adapters.secrets import Credentials
from urlshot.core.errors import Transient

log = logger()

CONNECT_SECONDS = 2.0
CONFIRM_SECONDS = 4.0
PUBLISH_SECONDS = 2 * (CONNECT_SECONDS + CONFIRM_SECONDS)
"""The longest time that a publish takes: two attempts of both steps. It is shorter than `records.PUBLISH_LEASE`."""

IDLE_SECONDS = 45.0
"""Seconds without a publish after which the connection is replaced.

Lambda may have frozen the function meanwhile, and its socket may be dead. Waiting for a timeout to find out would cost
the caller more than a new connection.
"""

HEARTBEAT_SECONDS = 60
"""The heartbeat that is negotiated with the broker; it must be longer than IDLE_SECONDS.

A connection that is in use has traffic, so this client sends no heartbeats. The broker closes the connection of a
function that is frozen or gone after one to two of these periods; without heartbeats such connections would count
towards its limit for ever (RabbitMQ guide, "Detecting Dead TCP Connections with Heartbeats").
"""

_TROUBLE = (amqp.exceptions.AMQPError, OSError, EOFError, ssl.SSLError)


class Publisher:
    """One connection to the broker, opened when needed; thread-safe, and publishes one message at a time."""

    def __init__(self, url: str, credentials: Callable[[], Credentials]) -> None:
        """Prepares a publisher; it connects at the first publish.

        Args:
            url: `amqp://` or `amqps://`, `host:port`, and optionally `/vhost`.
            credentials: Returns the credentials. It is called for each connection, so a rotated password takes effect.
        """
        parts = urlsplit(url)
        self._tls = parts.scheme == "amqps"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (5671 if self._tls else 5672)
        self._vhost = unquote(parts.path.removeprefix("/")) or "/"
        self._credentials = credentials
        self._lock = threading.Lock()
        self._channel: amqp.Channel | None = None
        self._used = 0.0

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        message_id: str = "",
        correlation_id: str = "",
        type: str = "",  # noqa: A002 - the AMQP property's name
        headers: dict[str, str] | None = None,
        mandatory: bool = True,
    ) -> None:
        """Publishes one message, and returns when the broker has confirmed it.

        If the connection proves dead, the publisher reconnects and publishes once more. The message may then exist
        twice, which is harmless: its id and generation identify the duplicate.

        Args:
            exchange: The exchange; empty for the default exchange, whose routing keys are queue names.
            key: The routing key.
            body: The message's body, JSON.
            message_id: The AMQP property `message_id`.
            correlation_id: The AMQP property `correlation_id`.
            type: The AMQP property `type`.
            headers: The AMQP headers.
            mandatory: Whether it is an error if no queue is bound to the key.

        Raises:
            Transient: `queue_unavailable`: there is no connection, no confirm in time or no route, the queue is full,
                or other threads' publishes took too long.
        """
        message = amqp.Message(
            body,
            content_type="application/json",
            delivery_mode=2,
            message_id=message_id,
            correlation_id=correlation_id,
            type=type,
            application_headers=headers or {},
        )
        began = time.monotonic()
        with self._turn(key):
            for attempt in (1, 2):
                try:
                    self._send(message, exchange, key, mandatory=mandatory)
                except amqp.exceptions.MessageNacked as error:
                    raise Transient("queue_unavailable", "The queue is full.", internal=f"{key}: nacked") from error
                except _Returned as error:
                    raise Transient("queue_unavailable", internal=f"{key}: {error}") from error
                except _TROUBLE as error:
                    self._drop()
                    if attempt == 2:
                        raise Transient("queue_unavailable", internal=f"{key}: {error!r}") from error
                else:
                    self._used = time.monotonic()
                    took = round((self._used - began) * 1000, 1)
                    sent = {"key": key, "message_id": message_id, "attempts": attempt, "milliseconds": took}
                    log.debug("broker: confirmed", extra=sent)
                    return

    def check(self) -> None:
        """Connects if there is no connection yet.

        Raises:
            Transient: `queue_unavailable`: the broker cannot be reached.
        """
        with self._turn("check"):
            try:
                self._open()
            except _TROUBLE as error:
                self._drop()
                raise Transient("queue_unavailable", internal=repr(error)) from error

    @contextmanager
    def _turn(self, what: str) -> Iterator[None]:
        """Gives one thread the connection; a wait longer than one publish means that the broker is down."""
        if not self._lock.acquire(timeout=PUBLISH_SECONDS):
            raise Transient("queue_unavailable", internal=f"{what}: earlier publishes took too long")
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._leave()

    def _send(self, message: amqp.Message, exchange: str, key: str, *, mandatory: bool) -> None:
        channel = self._open()
        returned: list[str] = []
        # A basic.return comes before the confirm of the same message, so after the confirm the list is complete.
        channel.events["basic_return"] = {lambda error, *_: returned.append(str(error))}
        channel.basic_publish_confirm(
            message,
            exchange=exchange,
            routing_key=key,
            mandatory=mandatory,
            timeout=CONFIRM_SECONDS,
            confirm_timeout=CONFIRM_SECONDS,
        )
        if returned:
            raise _Returned(returned[0])

    def _open(self) -> amqp.Channel:
        if self._channel is not None and time.monotonic() - self._used > IDLE_SECONDS:
            self._leave()
        if self._channel is None:
            credentials = self._credentials()
            connection = amqp.Connection(
                host=f"{self._host}:{self._port}",
                userid=credentials.username,
                password=credentials.password,
                virtual_host=self._vhost,
                ssl={"server_hostname": self._host, "cert_reqs": ssl.CERT_REQUIRED} if self._tls else False,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=CONFIRM_SECONDS,
                write_timeout=CONFIRM_SECONDS,
                confirm_publish=True,
                heartbeat=HEARTBEAT_SECONDS,
            )
            connection.connect()
            self._channel = connection.channel()
            self._used = time.monotonic()
        return self._channel

    def _leave(self) -> None:
        """Tells the broker that the connection ends, and drops it without a wait for the answer."""
        if self._channel is not None and self._channel.connection is not None:
            with suppress(*_TROUBLE):
                self._channel.connection.send_method(amqp.spec.Connection.Close, "BsBB", (0, "", 0, 0))
        self._drop()

    def _drop(self) -> None:
        """Drops the connection without the AMQP close handshake, which would wait for a broker that may be gone."""
        channel, self._channel = self._channel, None
        if channel is not None and channel.connection is not None:
            channel.connection.collect()


class _Returned(Exception):
    """The broker returned the message, because no queue is bound to its routing key."""
