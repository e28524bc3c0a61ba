"""Opens every outgoing connection: resolves a name once, checks each address, and connects to a checked address."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from urlshot.core.egress import Egress, parse_address

RESOLVE_SECONDS = 10.0
CONNECT_SECONDS = 8.0
"""Longest wait for one address, including TLS."""
DIAL_SECONDS = 20.0
"""Longest wait for all addresses of a name."""

Found = tuple[socket.AddressFamily, str]
Resolver = Callable[[str, int], Awaitable[list[Found]]]
_T = TypeVar("_T")
_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# getaddrinfo cannot be cancelled. Lookups have their own threads, so that hanging ones block nothing else.
_lookups = ThreadPoolExecutor(max_workers=16, thread_name_prefix="lookup")


@dataclass(frozen=True)
class Failure:
    """Why there is no connection to an endpoint: a code of `urlshot.core.errors`, and a sentence for the caller."""

    code: str
    reason: str


class Unreachable(Exception):
    """The egress rules refused an endpoint, or it could not be reached."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.reason}")
        self.failure = failure


async def resolve(host: str, port: int) -> list[Found]:
    """Looks up the addresses of a name, in the system's order of preference; an address needs no lookup.

    Raises:
        Unreachable: `name_not_found`, or `connection_failed` if the lookup took longer than `RESOLVE_SECONDS`.
    """
    address = parse_address(host)
    if address is not None and "%" not in host:  # the number of a zone needs a lookup
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return [(family, str(address))]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            # As bytes: Python would apply its own IDNA to a str, and Chromium has already applied the right one.
            found = await loop.run_in_executor(
                _lookups, lambda: socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
            )
    except TimeoutError:
        raise Unreachable(Failure("connection_failed", f"The name {host} could not be looked up in time.")) from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Unreachable(Failure("name_not_found", f"The name {host} could not be looked up.")) from None
        raise Unreachable(Failure("name_not_found", f"The name {host} does not exist.")) from None
    except (OSError, UnicodeError):
        raise Unreachable(Failure("name_not_found", f"The name {host[:100]} could not be looked up.")) from None
    return [(socket.AddressFamily(family), str(address[0])) for family, _, _, _, address in found]


async def dial(
    host: str, port: int, egress: Egress, resolver: Resolver = resolve, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to a host that the egress rules allow.

    If one address of a name is not public, the whole name is refused: a name with public and private addresses is
    either a mistake or an attack.

    Args:
        host: A name or an address.
        port: The TCP port.
        egress: The rules.
        resolver: Looks up the addresses of a name.
        tls: Makes the connection TLS; the certificate must be valid for `host`.

    Raises:
        Unreachable: The rules refuse the host, or it cannot be reached.
    """

    async def streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = host.rstrip(".") if tls else None
        return await asyncio.open_connection(sock=connection, ssl=tls, server_hostname=name)

    return await _dial(host, port, egress, resolver, streams)


async def dial_protocol(host: str, port: int, egress: Egress, resolver: Resolver, protocol: Callable[[], _P]) -> _P:
    """Connects to a host as `dial` does, without TLS; returns the protocol that handles the connection.

    Raises:
        Unreachable: The rules refuse the host, or it cannot be reached.
    """

    async def handled(connection: socket.socket) -> _P:
        return (await asyncio.get_running_loop().create_connection(protocol, sock=connection))[1]

    return await _dial(host, port, egress, resolver, handled)


async def _dial(
    host: str, port: int, egress: Egress, resolver: Resolver, use: Callable[[socket.socket], Awaitable[_T]]
) -> _T:
    decision = egress.for_host(host, port)
    if decision is not None and not decision.allowed:
        raise Unreachable(Failure("blocked_target", f"{decision.reason}."))
    addresses = list(dict.fromkeys(await resolver(host, port)))
    if decision is None:
        for _, address in addresses:
            verdict = egress.for_address(ipaddress.ip_address(address), port)
            if not verdict.allowed:
                raise Unreachable(Failure("blocked_target", f"{host}: {verdict.reason}."))
    failure = Failure("name_not_found", f"The name {host} has no address.")
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            for family, address in addresses:
                try:
                    return await _connect(family, address, port, use)
                except OSError as error:
                    failure = _failure(host, port, error)
    except TimeoutError:
        failure = Failure("connection_failed", f"{host}:{port} did not answer in time.")
    raise Unreachable(failure)


async def _connect(
    family: socket.AddressFamily, address: str, port: int, use: Callable[[socket.socket], Awaitable[_T]]
) -> _T:
    """Connects to one address without another lookup, and begins to use the connection."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
            return await use(connection)
    except BaseException:
        connection.close()
        raise


def _failure(host: str, port: int, error: OSError) -> Failure:
    if isinstance(error, ConnectionRefusedError):
        return Failure("connection_refused", f"{host}:{port} refused the connection.")
    if isinstance(error, TimeoutError):
        return Failure("connection_failed", f"{host}:{port} did not answer in time.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure("tls_error", f"The certificate of {host}:{port} is not trusted: {error.verify_message}.")
    if isinstance(error, ssl.SSLError):
        return Failure("tls_error", f"The TLS handshake with {host}:{port} failed.")
    return Failure("connection_failed", f"{host}:{port} could not be reached.")
