"""The gateway turns requests into API Gateway's events, and answers of the function into responses."""

import base64
import json
from typing import Any

import pytest

from infra.local.functions.instance import Answer
from infra.local.http.gateway import Matcher, _match
from infra.local.http.proxy_event import ApiKey, HttpRequest, MalformedAnswer, proxy_answer, proxy_event
from infra.local.template.model import Route


def request(**changes: Any) -> HttpRequest:
    given: dict[str, Any] = {
        "method": "GET",
        "path": "/pdf/a b",
        "query": "wait=20&tag=x&tag=y&empty=&q=%C3%A4+b",
        "headers": [("Host", "127.0.0.1:80"), ("User-Agent", "probe"), ("X-Two", "1"), ("X-Two", "2")],
        "body": b"",
        "source_ip": "127.0.0.1",
        "host": "127.0.0.1:80",
    }
    return HttpRequest(**{**given, **changes})


def event(given: HttpRequest, **changes: Any) -> dict[str, Any]:
    more: dict[str, Any] = {
        "resource": "/pdf/{id}",
        "parameters": {"id": "a b"},
        "stage": "prod",
        "stage_in_path": False,
        "binary_types": (),
        "request_id": "r-1",
        "now": 0.0,
    }
    return proxy_event(given, **{**more, **changes})


def test_event_is_the_documented_one() -> None:
    found = event(request())
    assert found["headers"] == {"Host": "127.0.0.1:80", "User-Agent": "probe", "X-Two": "2"}
    assert found["multiValueHeaders"]["X-Two"] == ["1", "2"]
    assert found["queryStringParameters"] == {"wait": "20", "tag": "y", "empty": "", "q": "ä b"}
    assert found["multiValueQueryStringParameters"]["tag"] == ["x", "y"]
    assert found["pathParameters"] == {"id": "a b"}
    assert found["body"] is None
    assert found["isBase64Encoded"] is False
    context = found["requestContext"]
    assert (context["path"], context["stage"], context["domainName"]) == ("/pdf/a b", "prod", "127.0.0.1:80")
    assert (context["requestId"], context["requestTime"]) == ("r-1", "01/Jan/1970:00:00:00 +0000")
    assert (context["identity"]["sourceIp"], context["identity"]["userAgent"]) == ("127.0.0.1", "probe")
    assert context["resourcePath"] == found["resource"] == "/pdf/{id}"


def test_absent_parts_are_null() -> None:
    found = event(request(query="", headers=[]), parameters={})
    for name in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "headers", "body"):
        assert found[name] is None


def test_event_names_the_api_key_of_the_request() -> None:
    identity = event(request(), api_key=ApiKey("key-1", "s3cret"))["requestContext"]["identity"]
    assert (identity["apiKeyId"], identity["apiKey"]) == ("key-1", "s3cret")
    assert "apiKeyId" not in event(request())["requestContext"]["identity"]
    assert "s3cret" not in repr(ApiKey("key-1", "s3cret"))


def test_stage_is_in_the_path_of_the_context_only() -> None:
    found = event(request(path="/pdf"), stage_in_path=True)
    assert (found["path"], found["requestContext"]["path"]) == ("/pdf", "/prod/pdf")


def test_bodies_are_text_unless_their_type_is_binary() -> None:
    post = request(method="POST", body=b"\xff\x00", headers=[("Content-Type", "image/png")])
    assert event(post)["isBase64Encoded"] is False
    binary = event(post, binary_types=("image/png",))
    assert (binary["isBase64Encoded"], binary["body"]) == (True, base64.b64encode(b"\xff\x00").decode())


def answer(body: Any, **more: Any) -> Answer:
    return Answer(json.dumps(body).encode() if not isinstance(body, bytes) else body, more.get("error"), "r-1")


def test_headers_of_an_answer_are_joined_and_are_text() -> None:
    found = proxy_answer(
        answer({"statusCode": "201", "headers": {"A": 1}, "multiValueHeaders": {"B": ["x", "y"]}, "body": "ä"}),
        accept="",
        binary_types=(),
    )
    assert (found.status, found.body) == (201, "ä".encode())
    assert found.headers == [("A", "1"), ("B", "x"), ("B", "y"), ("Content-Type", "application/json")]


def test_base64_is_decoded_for_clients_that_accept_a_binary_type() -> None:
    given = answer({"statusCode": 200, "body": base64.b64encode(b"\x00").decode(), "isBase64Encoded": True})
    assert proxy_answer(given, accept="application/pdf", binary_types=("application/pdf",)).body == b"\x00"
    assert proxy_answer(given, accept="application/pdf", binary_types=()).body == b"AA=="


@pytest.mark.parametrize(
    "given",
    [
        answer(b"no json"),
        answer(["a list"]),
        answer({"body": "no status"}),
        answer({"statusCode": "x"}),
        answer({"statusCode": 200, "body": {"an": "object"}}),
        answer({"statusCode": 200, "unknown": 1}),
        answer({"statusCode": 200}, error="Unhandled"),
    ],
)
def test_malformed_answer_is_an_error(given: Answer) -> None:
    with pytest.raises(MalformedAnswer):
        proxy_answer(given, accept="", binary_types=())


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/pdf", ("/pdf", {})),
        ("GET", "/pdf/", ("/pdf", {})),
        ("GET", "/pdf/a%20b", ("/pdf/{id}", {"id": "a b"})),
        ("GET", "/pdf/x/file", ("/pdf/{id}/file", {"id": "x"})),
        ("GET", "/pdf/new", ("/pdf/new", {})),
        ("GET", "/any/a/b", ("/any/{rest+}", {"rest": "a/b"})),
        ("DELETE", "/pdf", None),
        ("GET", "/", None),
        ("GET", "/pdf/x/other", None),
    ],
)
def test_routes_are_matched_most_literal_first(method: str, path: str, expected: Any) -> None:
    paths = ["/pdf/{id}", "/pdf", "/any/{rest+}", "/pdf/{id}/file", "/pdf/new"]
    matchers = sorted((Matcher.of(Route("GET", item, "F")) for item in paths), key=lambda matcher: matcher.rank)
    found = _match(matchers, method, path)
    assert (found and (found[0].route.path, dict(found[1]))) == expected
