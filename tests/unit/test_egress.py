"""The egress rules allow the public internet only: tables have each range and the neighbours just outside it."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core.egress import Egress, decide, host_list, listed, parse_address

CLOSED = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255",
    "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1",
    "192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
    "1fff:ffff::1", "2001::1", "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1",
    "3ffe::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%1",
    "2606:4700::1%1", "fec0::1", "ff02::1",
]  # fmt: skip
OPEN = [
    "1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.0.3.0", "192.31.195.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.1",
    "203.0.114.1", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111",
    "2620:4f:8001::1", "2a00:1450::1",
]  # fmt: skip


@pytest.mark.parametrize("text", CLOSED)
def test_address_outside_the_public_internet_is_closed(text: str) -> None:
    decision = decide(ipaddress.ip_address(text))
    assert not decision.allowed
    assert text.split("%")[0] in decision.reason or "::" in decision.reason


@pytest.mark.parametrize("text", OPEN)
def test_address_on_the_public_internet_is_open(text: str) -> None:
    assert decide(ipaddress.ip_address(text)).allowed


@given(st.ip_addresses())
def test_address_that_python_calls_private_is_closed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if decide(address).allowed:
        assert not (address.is_private or address.is_loopback or address.is_link_local or address.is_multicast)
        assert not (address.is_reserved or address.is_unspecified)


@given(st.ip_addresses(v=4))
def test_ipv4_address_inside_ipv6_is_closed(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | number)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) | number)
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (number << 80))
    assert not any(decide(one).allowed for one in (mapped, nat64, six_to_four))


@pytest.mark.parametrize(
    ("host", "address"),
    [("8.8.8.8", "8.8.8.8"), ("[::1]", "::1"), ("::1", "::1"), ("example.com", None), ("08.8.8.8", None), ("", None)],
)
def test_address_is_distinguished_from_a_name(host: str, address: str | None) -> None:
    found = parse_address(host)
    assert (str(found) if found else None) == address


@given(st.one_of(st.text(), st.text("0123456789abcdef.:[]%x "), st.ip_addresses().map(str)))
def test_address_is_what_the_standard_library_takes_for_one(host: str) -> None:
    try:
        expected = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        expected = None
    assert parse_address(host) == expected


def test_name_is_decided_by_its_addresses() -> None:
    assert Egress().for_host("example.com", 443) is None


@pytest.mark.parametrize("rules", [Egress.of(own=["api.example.com", ""]), Egress.of(denied="api.example.com")])
def test_own_and_denied_hosts_are_closed_in_every_spelling(rules: Egress) -> None:
    for host in ("api.example.com", "API.example.com."):
        decision = rules.for_host(host, 443)
        assert decision is not None
        assert not decision.allowed
    assert rules.for_host("www.api.example.com", 443) is None


@pytest.mark.parametrize(
    ("allowed", "denied", "host", "may"),
    [
        ("", "", "example.com", True),
        ("example.com", "", "example.com", True),
        ("example.com", "", "EXAMPLE.com.", True),
        ("example.com", "", "www.example.com", False),
        ("example.com", "", "notexample.com", False),
        ("*.example.com", "", "www.example.com", True),
        ("*.example.com", "", "a.b.example.com", True),
        ("*.example.com", "", "example.com", False),
        ("*.example.com", "", "badexample.com", False),
        ("example.com, 192.0.2.1", "", "192.0.2.1", True),
        ("[2001:db8::1]", "", "2001:0db8::1", True),
        ("", "example.com", "example.com", False),
        ("", "*.com", "example.com", False),
        ("", "*.com", "example.org", True),
        ("*.example.com", "secret.example.com", "secret.example.com", False),
        ("*.example.com", "secret.example.com", "open.example.com", True),
    ],
)
def test_operators_lists_decide_which_pages_are_printed(allowed: str, denied: str, host: str, may: bool) -> None:
    rules = Egress.of(allowed=allowed, denied=denied)
    assert rules.for_target(host).allowed is may
    # Resources of a page may come from hosts that are not in the allow list, but not from denied hosts.
    fetched = rules.for_host(host, 443)
    assert (fetched is not None and not fetched.allowed and "does not fetch" in fetched.reason) is listed(
        host, host_list(denied)
    )


@pytest.mark.parametrize(
    ("denied", "address"),
    [
        ("93.184.216.34", "93.184.216.34"),
        ("2606:2800:220:1::34", "2606:2800:220:1::34"),
        ("[2606:2800:0220:0001:0:0:0:34]", "2606:2800:220:1::34"),
        ("example.com, 93.184.216.34", "93.184.216.34"),
    ],
)
def test_denied_address_is_closed_for_every_name_that_leads_to_it(denied: str, address: str) -> None:
    rules, found = Egress.of(denied=denied), ipaddress.ip_address(address)
    assert rules.for_host("name.example", 443) is None
    assert not rules.for_address(found, 443).allowed
    assert Egress.of(denied="other.example").for_address(found, 443).allowed


@pytest.mark.parametrize(
    "text", ["https://example.com", "example.com/x", "*", "*.", "a..b", "a b", "b*.com", "münchen.de"]
)
def test_list_with_an_entry_that_is_no_host_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        host_list(f"example.com,{text}")


def test_opened_port_of_a_host_that_is_also_the_endpoint_is_open() -> None:
    rules = Egress.of("127.0.0.1:8000", own=["127.0.0.1"])
    page, service = rules.for_host("127.0.0.1", 8000), rules.for_host("127.0.0.1", 8080)
    assert page is not None
    assert service is not None
    assert (page.allowed, service.allowed) == (True, False)


def test_opened_pair_opens_a_host_name_or_an_address() -> None:
    egress = Egress.of("127.0.0.1:8000, box.lan:80,[::1]:81")
    assert egress.for_host("BOX.lan.", 80) is not None
    assert egress.for_host("box.lan", 81) is None
    opened = egress.for_address(ipaddress.ip_address("127.0.0.1"), 8000)
    assert opened.allowed
    assert egress.for_address(ipaddress.ip_address("::1"), 81).allowed
    assert not egress.for_address(ipaddress.ip_address("127.0.0.1"), 8001).allowed


@pytest.mark.parametrize("text", ["127.0.0.1", ":80", "host:", "host:0", "host:65536", "host:x"])
def test_malformed_pair_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        Egress.of(text)
