"""The attempts: each technique with each target. Each attempt has its own port, which identifies its visits."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from .ways import DATAGRAMS, FRAMES, PRELUDE, PUBLISHED, REDIRECTS, SCRIPTS, TAGS

PUBLIC = "93.184.216.34"
PUBLIC_6 = "2606:2800:220:1::34"
PROBED = "2001:4860:4860::8888"
"""Chromium uses IPv6 only if the machine has a route to this address."""
PAGES_PORT = 8000
FIRST_PORT = 20000
PER_PAGE = 45
DENIED = "api.urlshot.test"

PRIVATE = ["10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "169.254.170.2", "169.254.100.1", "100.64.0.1"]
RELAYS = [  # IPv6 addresses that lead to an IPv4 address through a relay; here, they all lead to this machine
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
    "::ffff:0:10.0.0.1",
]
PRIVATE_6 = ["fd00:ec2::254", "fd12:3456::1", "fec0::1", "2001:db8::1", "100::1", *RELAYS]
ADDRESSES = [*PRIVATE, "198.18.0.1", "192.0.2.1", "192.0.0.192", "168.63.129.16", PUBLIC, *PRIVATE_6, PUBLIC_6, PROBED]

NAMES: dict[str, list[list[str]]] = {
    "public.test": [[PUBLIC]],
    "six.public.test": [[PUBLIC_6]],
    DENIED: [[PUBLIC]],
    "private.test": [["10.0.0.1"]],
    "loopback.test": [["127.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "six.private.test": [["fd00:ec2::254"]],
    "mapped.test": [["::ffff:10.0.0.1"]],
    "relay.test": [["64:ff9b::a00:1"]],
    "mixed.test": [["10.0.0.1", PUBLIC]],
    "mixed-six.test": [["fd00:ec2::254", PUBLIC]],
    "mixed-last.test": [[PUBLIC, "10.0.0.1"]],
    "localhost.localdomain": [["127.0.0.1"]],
    **{f"rebind-{number}.test": [[PUBLIC], ["10.0.0.1"]] for number in range(12)},
}


@dataclass(frozen=True)
class Attempt:
    """One technique with one target. An `allowed` target must be reached, which shows that the technique works."""

    way: str
    html: str
    host: str
    port: int
    allowed: bool

    @property
    def name(self) -> str:
        return f"{self.way} -> {self.host}:{self.port}"

    def markup(self) -> str:
        """Returns the HTML that makes the attempt."""
        spot = f"{self.host}:{self.port}"
        target = f"http://{spot}/{self.port}"
        words = {
            "URL.createObjectURL": "URL.createObjectURL",  # JavaScript's own `URL` stays
            "QUOTED": quote(target, safe=""),
            "HTTPS": f"https://{spot}/{self.port}",
            "HOSTPORT": spot,
            "TARGET": target,
            "URL": target,
            "WSS": f"wss://{spot}/",
            "WS": f"ws://{spot}/",
            "HOST": self.host.strip("[]"),
            "PORT": str(self.port),
        }
        return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], self.html)

    def reached(self, visits: set[tuple[str, str, int]]) -> bool:
        """Returns whether the target got a visit. A visit to the former public address of a name does not count."""
        found = [address for _, address, port in visits if port == self.port]
        if self.allowed or self.host.lower().rstrip(".") == DENIED:
            return bool(found)
        return any(address not in (PUBLIC, PUBLIC_6) for address in found)


def spellings(address: str) -> Iterator[str]:
    """Yields spellings of an IPv4 address that a browser accepts. Source: WHATWG URL Standard, "IPv4 parser"."""
    a, b, c, d = address.split(".")
    number = int(ipaddress.IPv4Address(address))
    yield from (address, f"{address}.", str(number), hex(number), f"0{number:o}")
    yield f"{a}.{number & 0xFFFFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield ".".join(f"0{int(part):o}" for part in (a, b, c, d))
    yield ".".join(f"0x{int(part):X}" for part in (a, b, c, d))
    yield f"0x{int(a):02x}.0{int(b):o}.{number & 0xFFFF}"
    yield f"000{int(a):o}.{b}.{c}.{d}"
    yield address.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})  # full width
    yield address.replace(".", "。")
    yield address.replace("1", "①").replace("2", "②")
    yield "".join(f"%{ord(digit):02X}" for digit in a) + f".{b}.{c}.{d}"
    yield f"[::ffff:{address}]"
    yield f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]"
    yield f"[0:0:0:0:0:FFFF:{address}]"


HOSTS = [
    *("localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain", "127.1", "127.255.255.254"),
    *("0.0.0.0", "0", "0x0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:7f00:1]", "[fe80::1%25lo]"),
    *(f"[{address}]" for address in PRIVATE_6),
    *("198.18.0.1", "192.0.2.1", "192.0.0.192", "168.63.129.16", DENIED, f"{DENIED}.", DENIED.upper()),
    *(name for name in NAMES if "public" not in name and not name.startswith("rebind") and name != DENIED),
]
SPELT = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "169.254.100.1", PUBLIC]
BLOCKED = {"STUN", "TURN over UDP", "TURN over TCP", "TURN over TLS", "ICE candidate over UDP"} | {
    "ICE candidate over TCP",
    "WebTransport over QUIC",
}
"""Techniques that are blocked for public targets too, because they would bypass the proxy."""
INERT = {
    "svg in css", "manifest", "preconnect", "preconnect, https", "speculation prerender", "speculation prefetch",
    "popup", "Link: stylesheet", "Link: preconnect", "svg use", "svg in an image", "xslt style sheet", "xml entity",
    "xslt document()",
}  # fmt: skip
"""Techniques with which this Chromium sends no request, and popups, which are closed, mostly before they send one."""


def pages() -> list[list[Attempt]]:
    """Returns all attempts, grouped by page."""
    ports = itertools.count(FIRST_PORT)

    def cross(ways: dict[str, str], hosts: list[str]) -> list[Attempt]:
        return [
            Attempt(way, html, host, next(ports), host.strip("[]") in (PUBLIC, PUBLIC_6, "public.test"))
            for host in hosts
            for way, html in ways.items()
        ]

    made: list[list[Attempt]] = []
    for ways in (REDIRECTS, FRAMES, TAGS, SCRIPTS, PUBLISHED):
        for host in ("127.0.0.1", "10.0.0.1", "[fd00:ec2::254]", "private.test", PUBLIC):
            made += _split(cross(ways, [host]))
    made += [cross(DATAGRAMS, [host]) for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", PUBLIC)]
    plain = {"img": TAGS["img"], "fetch": SCRIPTS["fetch no-cors"]}
    for address in SPELT:  # a public IPv4 address inside IPv6 is refused too, so it is not an allowed target
        found = cross(
            {"img": plain["img"]}, [host for host in spellings(address) if address != PUBLIC or host[0] != "["]
        )
        made += _split([Attempt(a.way, a.html, a.host, a.port, address == PUBLIC) for a in found])
    made += _split(cross(plain, HOSTS))
    made += [cross(plain, ["public.test", f"[{PUBLIC_6}]"])]
    return made


def hosts_of(*addresses: str) -> list[str]:
    """Returns the spellings of these IPv4 addresses, and all other hosts of the attempts."""
    return [*(spelling for address in addresses for spelling in spellings(address)), *HOSTS]


def fixed() -> list[Attempt]:
    """Returns attempts at services with fixed addresses: Lambda's runtime API (two addresses), the metadata service."""
    return [
        Attempt(way, html, host, port, allowed=False)
        for host, port in (("127.0.0.1", 9001), ("169.254.100.1", 9001), ("169.254.169.254", 80))
        for way, html in {**SCRIPTS, **FRAMES}.items()
        if "PORT" not in html
    ]


def rebinding() -> list[list[Attempt]]:
    """Returns attempts at names that resolve to a public address first and to a private one afterwards.

    Each page requests its name more than once.
    """
    ports = itertools.count(FIRST_PORT + 5000)
    repeated = (
        "<img src='URL'><img src='URL?2'><script>setTimeout(() => fetch('URL?3', {mode: 'no-cors'}), 300)</script>"
    )
    return [
        [Attempt("rebinding", repeated, f"rebind-{number}.test", next(ports), allowed=False) for number in range(12)]
    ]


def _split(attempts: list[Attempt]) -> list[list[Attempt]]:
    return [attempts[at : at + PER_PAGE] for at in range(0, len(attempts), PER_PAGE)]


def is_awaited(attempt: Attempt, mode: str) -> bool:
    """Returns whether the attempt must arrive in this mode, so that its page is held until it does."""
    if attempt.way in INERT:
        return False
    if mode == "guarded":
        return attempt.allowed and attempt.way not in BLOCKED
    if mode == "open":  # this browser uses the first address of a name, and no link-local address
        return "fe80" not in attempt.host and not attempt.host.startswith(("rebind-", "mixed-last"))
    return True


@dataclass(frozen=True)
class Plan:
    """What the listeners need for groups of attempts: HTML by path, awaited attempts by path, and the ports."""

    pages: dict[str, str]
    awaited: dict[str, list[Attempt]]
    ports: set[int]

    @classmethod
    def of(cls, groups: list[list[Attempt]], mode: str) -> Plan:
        """Plans a page for each group: page n is at /page/n, and /hold/n holds it until its attempts had time."""
        return cls(
            {f"/page/{number}": document(group, number) for number, group in enumerate(groups)},
            {f"/hold/{n}": [one for one in group if is_awaited(one, mode)] for n, group in enumerate(groups)},
            {one.port for group in groups for one in group},
        )


def document(attempts: list[Attempt], number: int) -> str:
    """Returns the HTML of page `number` with these attempts; an image holds its load event until they had time."""
    body = "\n".join(attempt.markup() for attempt in attempts)
    return f"<!doctype html><meta charset=utf-8><body>{PRELUDE}<p>printed</p>{body}<img src='/hold/{number}'>"
