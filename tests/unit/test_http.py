"""`functions.api.http` reads API Gateway's events and writes its answers."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.api.http import Answer, Call, json_answer


def event(path: str = "/pdf", full_path: str = "/prod/pdf", **changes: Any) -> dict[str, Any]:
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": None,
        "queryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"path": full_path, "domainName": "host:1", "requestId": "r-1", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
        **changes,
    }


@pytest.mark.parametrize(
    ("path", "full_path", "scheme", "base"),
    [
        ("/pdf", "/prod/pdf", "https", "https://host:1/prod"),
        ("/pdf", "/pdf", "http", "http://host:1"),
        ("/pdf/a/file", "/base/path/pdf/a/file", None, "https://host:1/base/path"),
        ("/", "/prod/", "https", "https://host:1/prod"),
        ("/", "/prod", "https", "https://host:1/prod"),
        ("/", "/", "https", "https://host:1"),
        ("/pdf/", "/prod/pdf/", "https", "https://host:1/prod"),
        ("/pdf", "/pdf", "HTTP", "http://host:1"),
        ("/pdf", "/pdf", "http, https", "http://host:1"),
        ("/pdf", "/pdf", "javascript:alert(1)//", "https://host:1"),
        ("/pdf", "/pdf", "https://evil.example/?", "https://host:1"),
        ("/pdf", "/pdf", "http\r\nSet-Cookie: a=b", "https://host:1"),
        ("/pdf", "/pdf", "", "https://host:1"),
    ],
)
def test_links_start_with_the_address_of_the_request(path: str, full_path: str, scheme: str | None, base: str) -> None:
    call = Call.of(event(path, full_path, headers={"X-Forwarded-Proto": scheme} if scheme else None))
    assert call.base == base
    assert call.job("id") == f"{base}/pdf/id"


def test_redirect_leads_to_the_same_request_with_one_more_hop() -> None:
    call = Call.of(event(queryStringParameters={"url": "https://a/?b=c&d", "hops": "1"}))
    assert call.again(2) == "https://host:1/prod/pdf?url=https%3A%2F%2Fa%2F%3Fb%3Dc%26d&hops=2"


@pytest.mark.parametrize(
    "url",
    [
        "https://a/\r\nSet-Cookie: b=c",
        "https://a/%0d%0aSet-Cookie:b=c",
        "https://a/\r\n\r\n<script>alert(1)</script>",
        "https://a/\u560d\u560aSet-Cookie: b=c",  # these end in the bytes of CR and LF where text is cut to bytes
        "https://a/\x85\u2028\u2029\x00\x0b",
        "//evil.example/",
    ],
)
def test_url_adds_no_header_to_a_redirect_and_leads_nowhere_else(url: str) -> None:
    address = Call.of(event(queryStringParameters={"url": url})).again(1)
    assert re.fullmatch(r"https://host:1/prod/pdf\?url=[A-Za-z0-9%._~+-]*&hops=1", address)
    assert parse_qs(urlsplit(address).query)["url"] == [url]


def test_absent_parts_are_empty() -> None:
    call = Call.of(event())
    assert (dict(call.query), dict(call.parameters), dict(call.headers), call.body, call.key_id) == (
        {},
        {},
        {},
        "",
        None,
    )


@pytest.mark.parametrize(
    ("base", "own"),
    [
        ("https://a.example.com/prod", ("a.example.com", 443)),
        ("http://127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("http://a", ("a", 80)),
    ],
)
def test_call_knows_the_host_and_port_of_the_endpoint(base: str, own: tuple[str, int]) -> None:
    assert Call("GET", "/", base, "r").own == own


@pytest.mark.parametrize(
    ("header", "etag", "has"),
    [
        ("", '"a"', False),
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"a"', 'W/"a"', True),
        ('"b", W/"a"', 'W/"a"', True),
        ('"b"', '"a"', False),
        ("*", '"a"', True),
        ("a", '"a"', False),
    ],
)
def test_etag_of_the_caller_matches_weakly(header: str, etag: str, has: bool) -> None:
    assert Call("GET", "/", "https://a", "r", headers={"if-none-match": header}).has(etag) is has


def test_answer_to_head_has_no_body_and_all_headers() -> None:
    answer = json_answer(200, {"a": 1}, {"ETag": '"x"'}).with_headers({"X-Request-Id": "r"})
    assert answer.value == {"a": 1}
    get, head = answer.proxied(), answer.proxied(head=True)
    assert get["body"] == '{"a": 1}'
    assert head == {**get, "body": ""}
    assert get["headers"] == {"Content-Type": "application/json", "ETag": '"x"', "X-Request-Id": "r"}


def test_answer_without_a_body_has_no_content_type() -> None:
    assert "Content-Type" not in Answer(204).proxied()["headers"]
