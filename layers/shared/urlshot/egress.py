"""Which addresses may be reached: the public internet, and nothing else.

The rule allows global unicast and nothing besides, rather than listing what is bad, so that a range that nobody thought
of is closed. The ranges are IANA's special-purpose registries (RFC 6890 and its successors).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The only part of IPv6 that IANA has given to global unicast (RFC 4291, section 2.4).
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")

# Inside global unicast, but leading elsewhere: each embeds an IPv4 address that a translator or relay would dial, or is
# set aside. `is_global` says yes to some of them, depending on Python's version.
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
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); clouds use it inside
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "168.63.129.16/32",  # a cloud's own metadata service on a public address
    )
)


@dataclass(frozen=True)
class Decision:
    """Whether one address may be dialled, and why."""

    allowed: bool
    reason: str


def decide(address: Address) -> Decision:
    """Says whether `address` is on the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        if not address.is_global or address.is_multicast or address.is_reserved:
            return Decision(False, f"{address} is not a global unicast address")
        closed_4 = next((net for net in _CLOSED_4 if address in net), None)
        return Decision(False, f"{address} is in {closed_4}") if closed_4 else Decision(True, "public")
    if address.scope_id is not None:
        return Decision(False, f"{address} has a zone")
    if address not in _GLOBAL_UNICAST_6 or not address.is_global:
        return Decision(False, f"{address} is not a global unicast address")
    closed_6 = next((net for net in _CLOSED_6 if address in net), None)
    return Decision(False, f"{address} is in {closed_6}") if closed_6 else Decision(True, "public")


def parse_address(host: str) -> Address | None:
    """The address that `host` spells, with or without IPv6's brackets; None if it is a name."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


@dataclass(frozen=True)
class Egress:
    """The rules of one function: the public internet, `opened` host:port pairs, but never `denied` hosts.

    Only the local stack opens pairs. A pair opens the host as it is spelled, and the address that it is.
    """

    opened: frozenset[tuple[str, int]] = frozenset()
    denied: frozenset[str] = frozenset()

    @classmethod
    def of(cls, opened: str = "", denied: Iterable[str] = ()) -> Egress:
        """Rules from `host:port,host:port` and names of denied hosts.

        Raises:
            ValueError: an opened pair has no valid port, or no host.
        """
        pairs = set()
        for item in filter(None, (part.strip() for part in opened.split(","))):
            host, colon, port = item.rpartition(":")
            if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"{item!r} is not host:port")
            pairs.add((_plain(host), int(port)))
        return cls(frozenset(pairs), frozenset(_plain(host) for host in denied if host))

    def for_host(self, host: str, port: int) -> Decision | None:
        """What the host's spelling alone decides; None when its addresses must be looked up and asked for."""
        plain = _plain(host)
        if plain in self.denied:
            return Decision(False, f"{plain} is this service itself")
        if (plain, port) in self.opened:
            return Decision(True, f"{plain}:{port} was opened")
        address = parse_address(plain)
        if address is not None:
            return decide(address)
        if plain == "localhost" or plain.endswith(".localhost"):  # RFC 6761: loopback, whatever a resolver says
            return Decision(False, f"{plain} is this machine")
        return None

    def for_address(self, address: Address, port: int) -> Decision:
        """Whether `address`, which a name resolved to, may be dialled."""
        if (str(address), port) in self.opened:
            return Decision(True, f"{address}:{port} was opened")
        return decide(address)


def _plain(host: str) -> str:
    """A host without brackets, trailing dot and upper case; an address in its usual spelling."""
    plain = host.strip().lower().rstrip(".").removeprefix("[").removesuffix("]")
    address = parse_address(plain)
    return str(address) if address is not None else plain
