"""`dial` looks a name up once, checks every address, and connects to a checked address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import pytest

from tests.bypasses import PRIVATE_ADDRESSES
from urlshot.core.egress import Egress
from urlshot.network import dial as dialling
from urlshot.network.dial import Found, Resolver, Unreachable, dial, dial_protocol

V4, V6 = socket.AF_INET, socket.AF_INET6
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1::1"


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the list of the addresses that `dial` tried. Every attempt is refused."""
    addresses: list[str] = []

    async def connect(family: socket.AddressFamily, address: str, *_: object) -> None:
        addresses.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(dialling, "_connect", connect)
    return addresses


def answers(*addresses: str) -> tuple[Resolver, Callable[[], int]]:
    """Returns a resolver and a count of its lookups. From the second on, it gives 127.0.0.1, as in DNS rebinding."""
    asked = 0

    async def resolver(host: str, port: int) -> list[Found]:
        nonlocal asked
        asked += 1
        return [(V6 if ":" in text else V4, text) for text in (addresses if asked == 1 else ("127.0.0.1",))]

    return resolver, lambda: asked


@pytest.mark.parametrize("kind", PRIVATE_ADDRESSES)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_private_address_refuses_the_name(dialled: list[str], kind: str, place: int) -> None:
    addresses = [PUBLIC, PUBLIC_6]
    addresses.insert(place, PRIVATE_ADDRESSES[kind])
    resolver, asked = answers(*addresses)
    with pytest.raises(Unreachable) as caught:
        await dial("example.com", 443, Egress(), resolver)
    assert caught.value.failure.code == "blocked_target"
    assert dialled == []
    assert asked() == 1


async def test_name_of_a_denied_address_is_refused(dialled: list[str]) -> None:
    resolver, _ = answers(PUBLIC_6, PUBLIC)
    with pytest.raises(Unreachable) as caught:
        await dial("example.com", 443, Egress.of(denied=PUBLIC), resolver)
    assert (caught.value.failure.code, dialled) == ("blocked_target", [])


async def test_checked_addresses_are_dialled_in_order_after_one_lookup(dialled: list[str]) -> None:
    resolver, asked = answers(PUBLIC_6, PUBLIC)
    with pytest.raises(Unreachable) as caught:
        await dial("example.com", 443, Egress(), resolver)
    assert caught.value.failure.code == "connection_refused"
    assert dialled == [PUBLIC_6, PUBLIC]
    assert asked() == 1


@pytest.mark.parametrize(
    "host", [*PRIVATE_ADDRESSES.values(), "localhost", "a.localhost", "LOCALHOST.", "api.example.com"]
)
async def test_host_that_is_refused_by_its_spelling_is_not_looked_up(dialled: list[str], host: str) -> None:
    resolver, asked = answers(PUBLIC)
    with pytest.raises(Unreachable) as caught:
        await dial(host, 443, Egress.of(own=["api.example.com"]), resolver)
    assert caught.value.failure.code == "blocked_target"
    assert asked() == 0


async def test_only_the_opened_host_and_port_are_open(dialled: list[str]) -> None:
    egress = Egress.of("127.0.0.1:8000")
    resolver, _ = answers("127.0.0.1")
    with pytest.raises(Unreachable) as caught:
        await dial("127.0.0.1", 8000, egress, resolver)
    assert caught.value.failure.code == "connection_refused"
    with pytest.raises(Unreachable) as caught:
        await dial("127.0.0.1", 8001, egress, resolver)
    assert caught.value.failure.code == "blocked_target"
    assert dialled == ["127.0.0.1"]


async def test_name_without_addresses_does_not_exist() -> None:
    resolver, _ = answers()
    with pytest.raises(Unreachable) as caught:
        await dial("example.com", 443, Egress(), resolver)
    assert caught.value.failure.code == "name_not_found"


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1"])
async def test_old_spelling_of_loopback_is_refused_when_resolved(host: str) -> None:
    with pytest.raises(Unreachable) as caught:
        await dial(host, 80, Egress())
    assert caught.value.failure.code == "blocked_target"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "2606:2800:220:1::1", "::ffff:10.0.0.1", "0.0.0.0"])
async def test_address_is_its_own_lookup(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    found = await asyncio.get_running_loop().getaddrinfo(host, 80, type=socket.SOCK_STREAM)

    def none(*_: object, **__: object) -> None:
        raise AssertionError("an address was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    ((family, address),) = await dialling.resolve(host, 80)
    assert family == found[0][0]
    assert ipaddress.ip_address(address) == ipaddress.ip_address(found[0][4][0])


async def test_connection_for_a_protocol_obeys_the_rules(dialled: list[str]) -> None:
    resolver, _ = answers(PUBLIC, "10.0.0.1")
    with pytest.raises(Unreachable) as caught:
        await dial_protocol("example.com", 80, Egress(), resolver, asyncio.Protocol)
    assert caught.value.failure.code == "blocked_target"
    assert dialled == []


async def test_silent_address_ends_with_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(dialling, "_connect", connect)
    monkeypatch.setattr(dialling, "DIAL_SECONDS", 0.05)
    resolver, _ = answers(PUBLIC)
    with pytest.raises(Unreachable) as caught:
        await dial("example.com", 443, Egress(), resolver)
    assert caught.value.failure.code == "connection_failed"
