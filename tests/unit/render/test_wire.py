"""Tests how the proxy reads requests: every request that it passes on has one meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.network.wire import MAX_HEAD, BadMessage, parse_request


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


@pytest.mark.parametrize(
    ("first", "host", "port", "path"),
    [
        ("CONNECT example.com:443 HTTP/1.1", "example.com", 443, ""),
        ("CONNECT [2001:db8::1]:8443 HTTP/1.1", "2001:db8::1", 8443, ""),
        ("GET http://example.com/a?b HTTP/1.1", "example.com", 80, "/a?b"),
        ("GET http://example.com?b HTTP/1.1", "example.com", 80, "/?b"),
        ("GET http://example.com HTTP/1.0", "example.com", 80, "/"),
        ("GET HTTP://example.com:8080/x#frag HTTP/1.1", "example.com", 8080, "/x"),
        ("GET http://[::1]/ HTTP/1.1", "::1", 80, "/"),
        ("GET http://[::1]:81/ HTTP/1.1", "::1", 81, "/"),
    ],
)
def test_targets_are_read(first: str, host: str, port: int, path: str) -> None:
    request = parse_request(head(first))
    assert (request.host, request.port, request.path) == (host, port, path)
    assert request.is_tunnel == first.startswith("CONNECT")


@pytest.mark.parametrize(
    "first",
    [
        "GET / HTTP/1.1",
        "GET https://example.com/ HTTP/1.1",
        "GET ftp://example.com/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET http://user:pass@example.com/ HTTP/1.1",
        "GET http://example.com:0/ HTTP/1.1",
        "GET http://example.com:65536/ HTTP/1.1",
        "GET http://example.com:/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://exa mple.com/ HTTP/1.1",
        "GET http://example.com/ HTTP/2",
        "GET http://example.com/",
        "G(T http://example.com/ HTTP/1.1",
        "CONNECT example.com HTTP/1.1",
        "CONNECT example.com:http HTTP/1.1",
        "CONNECT :443 HTTP/1.1",
        "CONNECT ::1:443 HTTP/1.1",
        "CONNECT http://example.com:443 HTTP/1.1",
        f"CONNECT {'a' * 256}:443 HTTP/1.1",
        "",
    ],
)
def test_other_targets_are_refused(first: str) -> None:
    with pytest.raises(BadMessage):
        parse_request(head(first))


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "content-length: 5"),
        ("Content-Length: 5, 5",),
        ("Content-Length: +5",),
        ("Content-Length: -1",),
        ("Content-Length: 0x5",),
        ("Content-Length:",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: gzip",),
        ("Content-Length : 5",),
        (" Content-Length: 5",),
        ("A: b", " folded"),
        ("A: b\rB: c",),
        ("A: b\nB: c",),
        ("A: b\0",),
        ("no colon",),
        (": no name",),
        ("Na me: x",),
    ],
)
def test_heads_that_parsers_read_differently_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadMessage):
        parse_request(head("POST http://example.com/ HTTP/1.1", *lines))


def test_body_without_a_length_is_refused() -> None:
    assert parse_request(head("POST http://example.com/ HTTP/1.1", "Content-Length: 5")).length == 5
    with pytest.raises(BadMessage) as caught:
        parse_request(head("POST http://example.com/ HTTP/1.1", "Transfer-Encoding: chunked"))
    assert caught.value.status == 411


def test_server_gets_origin_form_and_no_hop_by_hop_headers() -> None:
    request = parse_request(
        head(
            "POST http://Example.com:8080/a HTTP/1.1",
            "Host: elsewhere.example",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Mine, Content-Length",
            "X-Mine: 1",
            "Upgrade: h2c",
            "Cookie: a=b",
            "Content-Length: 3",
        )
    )
    assert request.head() == head(
        "POST /a HTTP/1.1", "Host: Example.com:8080", "Cookie: a=b", "Content-Length: 3", "Connection: close"
    )


@pytest.mark.parametrize(
    ("lines", "repeatable", "may_keep"),
    [
        (("GET http://a/ HTTP/1.1",), True, True),
        (("HEAD http://a/ HTTP/1.1", "Proxy-Connection: keep-alive"), True, True),
        (("GET http://a/ HTTP/1.1", "Content-Length: 0"), True, True),
        (("GET http://a/ HTTP/1.1", "Content-Length: 1"), False, True),
        (("POST http://a/ HTTP/1.1", "Content-Length: 0"), False, True),
        (("get http://a/ HTTP/1.1",), False, True),
        (("OPTIONS http://a/ HTTP/1.1",), False, True),
        (("GET http://a/ HTTP/1.0",), True, False),
        (("GET http://a/ HTTP/1.1", "Connection: x, Close"), True, False),
        (("GET http://a/ HTTP/1.1", "Proxy-Connection: close"), True, False),
        (("CONNECT a:443 HTTP/1.1",), False, False),
    ],
)
def test_only_repeatable_requests_share_a_connection(lines: tuple[str, ...], repeatable: bool, may_keep: bool) -> None:
    request = parse_request(head(*lines))
    assert (request.is_repeatable, request.may_keep) == (repeatable, may_keep)
    if not request.is_tunnel:
        assert (b"\r\nConnection: close\r\n" in request.head()) == (not repeatable)


def test_head_above_the_largest_size_is_refused() -> None:
    with pytest.raises(BadMessage) as caught:
        parse_request(head("GET http://example.com/ HTTP/1.1", "A: " + "b" * MAX_HEAD))
    assert caught.value.status == 431


fragments = st.sampled_from(
    ["GET ", "CONNECT ", "http://", "example.com", ":443", "[::1]", "@", "/", "?", " HTTP/1.1", "\r\n", "\r", "\n",
     "Host: x", "Content-Length: ", "5", "Transfer-Encoding: chunked", "Connection: close", ": ", "\0", " ", "\t", "é"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(fragments, max_size=25).map(lambda parts: "".join(parts).encode())))
def test_any_bytes_are_refused_or_become_one_clean_request(noise: bytes) -> None:
    try:
        request = parse_request(noise + b"\r\n\r\n")
    except BadMessage:
        return
    assert request.host
    assert 0 < request.port < 65536
    if request.is_tunnel:
        return
    sent = request.head()
    assert sent.endswith(b"\r\n\r\n")
    assert sent.count(b"\r\n\r\n") == 1
    lines = sent[:-4].split(b"\r\n")
    assert re.fullmatch(rb"[!-~]+ /[^ \r\n]* HTTP/1\.1", lines[0])
    assert not any(character in line for line in lines for character in (b"\r", b"\n", b"\0"))
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") <= 1
    assert b"transfer-encoding" not in names
    assert (lines[-1] == b"Connection: close") == (b"connection" in names) == (not request.is_repeatable)
