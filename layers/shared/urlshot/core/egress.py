"""Decides which addresses may be reached: those of the public internet only.

The rule is an allow list of global unicast addresses, so a range that was forgotten is closed. The ranges come from
IANA's special-purpose registries (RFC 6890 and its successors).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The only part of IPv6 that IANA has assigned to global unicast (RFC 4291, section 2.4).
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")

# These are inside global unicast but must stay closed: each is reserved, or embeds an IPv4 address that a translator or
# relay would connect to. Depending on Python's version, `is_global` is True for some of them.
_CLOSED_6 = tuple(
    ipaddress.IPv6Network(net)
    for net in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking, port control (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056)
        "3ffe::/16",  # the former 6bone (RFC 3701)
        "3fff::/20",  # documentation (RFC 9637)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
    )
)
_CLOSED_4 = tuple(
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this network (RFC 791)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); clouds use it internally
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "168.63.129.16/32",  # the metadata service of a cloud, on a public address
    )
)


@dataclass(frozen=True)
class Decision:
    """Whether a connection is allowed, and why."""

    allowed: bool
    reason: str


def decide(address: Address) -> Decision:
    """Decides whether `address` is on the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        if not address.is_global or address.is_multicast or address.is_reserved:
            return Decision(False, f"{address} is not a global unicast address")
        closed_4 = next((net for net in _CLOSED_4 if address in net), None)
        return Decision(False, f"{address} is in {closed_4}") if closed_4 else Decision(True, "public")
    if address.scope_id is not None:
        return Decision(False, f"{address} has a zone id")
    if address not in _GLOBAL_UNICAST_6 or not address.is_global:
        return Decision(False, f"{address} is not a global unicast address")
    closed_6 = next((net for net in _CLOSED_6 if address in net), None)
    return Decision(False, f"{address} is in {closed_6}") if closed_6 else Decision(True, "public")


def parse_address(host: str) -> Address | None:
    """Returns the address that `host` is, with or without the brackets of IPv6; None if it is a name."""
    text = host.removeprefix("[").removesuffix("]")
    if ":" not in text and not text[-1:].isdecimal():  # `ip_address` takes long for names
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Egress:
    """The egress rules of one function.

    Attributes:
        opened: Pairs of host and port that are reachable although not public; only the local stack has any. A pair
            opens a name by its spelling, and an address also for the names that resolve to it.
        own: The service's own names, which are refused.
        denied: The operator's list of hosts from which nothing is fetched. `*.example.com` stands for every host below
            example.com.
        allowed: The operator's list of hosts whose pages may be printed, in the same form; empty allows all. The
            resources of a page may come from other hosts.
    """

    opened: frozenset[tuple[str, int]] = frozenset()
    own: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, opened: str = "", own: Iterable[str] = (), denied: str = "", allowed: str = "") -> Egress:
        """Parses the rules from settings.

        Args:
            opened: Pairs such as `host:port,host:port`.
            own: The service's own names.
            denied: Hosts separated by commas.
            allowed: Hosts separated by commas.

        Raises:
            ValueError: A pair lacks its host or a valid port, or an entry of a list is not a host.
        """
        pairs = set()
        for item in filter(None, (part.strip() for part in opened.split(","))):
            host, colon, port = item.rpartition(":")
            if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{item!r} is not host:port")
            pairs.add((_plain(host), int(port)))
        names = frozenset(_plain(host) for host in own if host)
        return cls(frozenset(pairs), names, host_list(denied), host_list(allowed))

    def for_target(self, host: str) -> Decision:
        """Decides by the operator's lists whether pages of a host may be printed."""
        plain = _plain(host)
        if listed(plain, self.denied):
            return Decision(False, f"{plain} is one of the hosts from which this endpoint does not fetch")
        if self.allowed and not listed(plain, self.allowed):
            return Decision(False, f"{plain} is not one of the hosts whose pages this endpoint prints")
        return Decision(True, "listed" if self.allowed else "no list")

    def for_host(self, host: str, port: int) -> Decision | None:
        """Decides by the host's spelling; returns None if that is not enough and its addresses must be checked."""
        plain = _plain(host)
        if listed(plain, self.denied):
            return Decision(False, f"{plain} is one of the hosts from which this endpoint does not fetch")
        if (plain, port) in self.opened:  # before `own`: on one machine, page and service differ by their ports only
            return Decision(True, f"{plain}:{port} was opened")
        if plain in self.own:
            return Decision(False, f"{plain} is this service itself")
        address = parse_address(plain)
        if address is not None:
            return decide(address)
        if plain == "localhost" or plain.endswith(".localhost"):  # RFC 6761: loopback, whatever a resolver says
            return Decision(False, f"{plain} is this machine")
        return None

    def for_address(self, address: Address, port: int) -> Decision:
        """Decides whether a connection to an address of a name is allowed; a denied address is closed to all names."""
        if listed(str(address), self.denied):
            return Decision(False, f"{address} is one of the hosts from which this endpoint does not fetch")
        if (str(address), port) in self.opened:
            return Decision(True, f"{address}:{port} was opened")
        return decide(address)


def host_list(text: str) -> frozenset[str]:
    """Parses a list of hosts such as `example.com,*.example.org`.

    Raises:
        ValueError: An entry is neither a host nor `*.` and a host.
    """
    hosts = [part.strip().lower().rstrip(".") for part in text.split(",") if part.strip()]
    for host in hosts:
        if not _HOST.fullmatch(host) and parse_address(host) is None:
            raise ValueError(
                f"{host!r} is not a host such as example.com or *.example.com (in ASCII: xn--… for others)"
            )
    return frozenset(host if host.startswith("*.") else _plain(host) for host in hosts)


def listed(host: str, hosts: frozenset[str]) -> bool:
    """Returns whether a list from `host_list` contains this host, or a pattern that matches it."""
    if not hosts:
        return False
    plain = _plain(host)
    if plain in hosts:
        return True
    labels = plain.split(".")
    return any("*." + ".".join(labels[start:]) in hosts for start in range(1, len(labels)))


def _plain(host: str) -> str:
    """Normalizes a host: lower case, no brackets, no trailing dot; an address in its canonical spelling."""
    plain = host.strip().lower().rstrip(".").removeprefix("[").removesuffix("]")
    address = parse_address(plain)
    return str(address) if address is not None else plain
