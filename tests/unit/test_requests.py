"""`functions.api.requests` reads bodies, queries and batches into requests, or refuses them."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.http import Call
from functions.api.requests import MAX_BATCH, MAX_BATCH_BODY, MAX_BODY, MAX_HOPS, Rules, batch_of, from_query
from functions.api.requests import from_body as read_body
from tests.bypasses import BYPASSES
from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected
from urlshot.core.identity import is_job_id, job_id
from urlshot.core.options import Margin, Options
from urlshot.core.subscription_rules import parse_allow, parse_hosts
from urlshot.lifecycle.accept import Request

RULES = Rules(Egress(), max_age=600)
URL = "https://example.com/"


def call(body: str | None = None, *, is_base64: bool = False, **query: str) -> Call:
    return Call(
        "POST", "/pdf", "https://api.example.org/prod", "r-1", query=query, body=body or "", is_base64=is_base64
    )


def from_body(body: str | None, *, is_base64: bool, rules: Rules) -> Request:
    return read_body(call(body, is_base64=is_base64), rules).request


def test_body_needs_only_a_url() -> None:
    request = from_body(json.dumps({"url": "https://EXAMPLE.com"}), is_base64=False, rules=RULES)
    assert (request.url, request.id, request.options, request.max_age) == (URL, job_id(URL, {}), Options(), 600)


def test_body_in_base64_is_decoded() -> None:
    body = base64.b64encode(json.dumps({"url": URL, "max_age": 0}).encode()).decode()
    assert from_body(body, is_base64=True, rules=RULES).max_age == 0


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (None, "invalid_json", None),
        ("", "invalid_json", None),
        ("{", "invalid_json", None),
        ("[" * 60_000, "invalid_json", None),
        ("[]", "invalid_json", None),
        ('"https://example.com/"', "invalid_json", None),
        (json.dumps({"url": URL, "x": "a" * MAX_BODY}), "body_too_large", None),
        ("{}", "invalid_request", "url"),
        ('{"url": null}', "invalid_request", "url"),
        ('{"url": ["https://example.com/"]}', "invalid_request", "url"),
        ('{"url": "ftp://example.com/"}', "unsupported_scheme", "url"),
        (json.dumps({"url": URL, "option": {}}), "invalid_request", "option"),
        (json.dumps({"url": URL, "options": {"scale": 9}}), "invalid_request", "options.scale"),
        (json.dumps({"url": URL, "options": {"margin": {"top": "x"}}}), "invalid_request", "options.margin.top"),
        (json.dumps({"url": URL, "max_age": -1}), "invalid_request", "max_age"),
        (json.dumps({"url": URL, "max_age": "1"}), "invalid_request", "max_age"),
        (json.dumps({"url": URL, "max_age": 1.5}), "invalid_request", "max_age"),
    ],
)
def test_wrong_body_is_refused_with_its_field(body: str | None, code: str, field: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        from_body(body, is_base64=False, rules=RULES)
    assert (caught.value.code.name, caught.value.field) == (code, field)


def test_malformed_base64_is_invalid_json() -> None:
    with pytest.raises(Rejected, match="invalid_json"):
        from_body("%%%", is_base64=True, rules=RULES)


def test_query_takes_options_by_their_names() -> None:
    query = {
        "url": URL, "max_age": "5", "landscape": "true", "background": "0", "scale": "0.5", "format": "A5",
        "page_ranges": "1-2", "margin": "1cm",
    }  # fmt: skip
    wanted, hops = from_query(call(**query), RULES)
    request = wanted.request
    centimetre = Margin(top="10mm", right="10mm", bottom="10mm", left="10mm")
    assert request.options == Options(
        landscape=True, background=False, scale=0.5, format="A5", page_ranges="1-2", margin=centimetre
    )
    assert (request.max_age, hops) == (5, 0)


def test_query_takes_numbers_and_lists_and_no_options_with_fields() -> None:
    query = {
        "url": URL,
        "delay": "1.5",
        "fail_on": "status, console",
        "wait_for": "#a",
        "width": "1in",
        "height": "2in",
    }
    request = from_query(call(**query), RULES)[0].request
    assert request.options.changed() == {
        "delay": 1.5, "fail_on": ["console", "status"], "wait_for": "#a", "width": "25.4mm", "height": "50.8mm"
    }  # fmt: skip
    assert from_query(call(url=URL, fail_on=""), RULES)[0].request.options.fail_on == ()
    for name in ("viewport", "metadata"):
        with pytest.raises(Rejected, match="POST"):
            from_query(call(**{"url": URL, name: "x"}), RULES)


def test_equal_query_and_body_make_one_job() -> None:
    by_query = from_query(call(url="https://example.com", landscape="true"), RULES)[0].request
    by_body = from_body('{"url": "https://example.com/", "options": {"landscape": true}}', is_base64=False, rules=RULES)
    assert by_query.id == by_body.id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "url"),
        ({"url": URL, "b": "2"}, "b"),  # belongs to a page's URL that was not percent-encoded
        ({"url": URL, "landscape": "yes"}, "landscape"),
        ({"url": URL, "scale": "big"}, "scale"),
        ({"url": URL, "scale": "nan"}, "options.scale"),
        ({"url": URL, "max_age": "-1"}, "max_age"),
        ({"url": URL, "max_age": "\u0661"}, "max_age"),  # a digit outside ASCII
        ({"url": URL, "max_age": "1" * 11}, "max_age"),
        ({"url": URL, "hops": str(MAX_HOPS + 1)}, "hops"),
        ({"url": URL, "hops": "x"}, "hops"),
    ],
)
def test_wrong_query_is_refused_with_its_parameter(query: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        from_query(call(**query), RULES)
    assert caught.value.field == field


@given(
    st.dictionaries(
        st.sampled_from(["url", "max_age", "hops", *Options.model_fields]) | st.text(max_size=5), st.text(max_size=20)
    )
)
def test_any_query_is_a_request_or_is_refused(query: dict[str, str]) -> None:
    try:
        request = from_query(call(**{"url": URL, **query}), RULES)[0].request
    except Rejected as error:
        assert error.public()["code"]
        return
    assert request.id == job_id(request.url, request.options.changed())


@given(st.text(max_size=100) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_body_without_a_url_is_refused(body: str) -> None:
    with pytest.raises(Rejected):
        from_body(body, is_base64=False, rules=RULES)


def test_private_request_is_a_job_of_its_own() -> None:
    body = json.dumps({"url": URL, "private": {"cookies": [{"name": "sid", "value": "s3cret"}]}})
    first, second = (from_body(body, is_base64=False, rules=RULES) for _ in range(2))
    assert first.id != second.id
    assert is_job_id(first.id)
    assert len(first.id) == 32
    assert "s3cret" not in repr(first)


def test_request_with_an_empty_private_is_an_ordinary_one() -> None:
    body = json.dumps({"url": URL, "private": {}})
    assert from_body(body, is_base64=False, rules=RULES).id == job_id(URL, {})


@pytest.mark.parametrize("name", BYPASSES)
def test_published_bypass_is_refused_in_a_body_and_in_a_query(name: str) -> None:
    url, code = BYPASSES[name]
    with pytest.raises(Rejected) as by_body:
        from_body(json.dumps({"url": url}), is_base64=False, rules=RULES)
    with pytest.raises(Rejected) as by_query:
        from_query(call(url=url), RULES)
    assert {(caught.value.code.name, caught.value.field) for caught in (by_body, by_query)} == {(code, "url")}


@pytest.mark.parametrize(
    "url", ["https://api.example.org/prod/pdf?url=x", "https://API.example.org:443/", "https://api.example.org./"]
)
def test_url_of_the_endpoint_itself_is_refused(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        from_body(json.dumps({"url": url}), is_base64=False, rules=RULES)
    assert (caught.value.code.name, caught.value.field) == ("blocked_target", "url")
    assert from_body(json.dumps({"url": "https://api.example.org:8443/"}), is_base64=False, rules=RULES)


def test_operators_lists_apply_to_requests() -> None:
    rules = Rules(Egress.of(allowed="*.example.com"), max_age=600)
    assert from_body('{"url": "https://www.example.com/"}', is_base64=False, rules=rules)
    with pytest.raises(Rejected, match="host_not_allowed"):
        from_body('{"url": "https://example.org/"}', is_base64=False, rules=rules)


def test_batch_is_a_list_of_unchecked_requests() -> None:
    assert batch_of(call('{"requests": [{"url": "x"}, 7]}')) == [{"url": "x"}, 7]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ("", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("{}", "invalid_request", "requests"),
        ('{"requests": {}}', "invalid_request", "requests"),
        ('{"requests": []}', "invalid_request", "requests"),
        (json.dumps({"requests": [{}] * (MAX_BATCH + 1)}), "invalid_request", "requests"),
        ('{"requests": [{}], "max_age": 0}', "invalid_request", "max_age"),
        (json.dumps({"requests": ["a" * MAX_BATCH_BODY]}), "body_too_large", None),
    ],
)
def test_wrong_batch_is_refused_with_its_field(body: str, code: str, field: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        batch_of(call(body))
    assert (caught.value.code.name, caught.value.field) == (code, field)


def test_request_names_its_subscribers() -> None:
    body = json.dumps({"url": URL, "callback_url": "https://hooks.example.com/x", "notify": "me@example.com"})
    rules = Rules(Egress(), 600, parse_hosts("hooks.example.com"), parse_allow("@example.com"))
    subscribers = read_body(call(body), rules).subscribers
    assert [(one.kind, one.address) for one in subscribers] == [
        ("callback", "https://hooks.example.com/x"), ("mail", "me@example.com")
    ]  # fmt: skip
    with pytest.raises(Rejected, match="callback_not_allowed"):
        read_body(call(body), RULES)
    with pytest.raises(Rejected, match="notify_not_allowed"):  # a key permits callbacks, but no mail
        read_body(replace(call(body), key_id="key-1"), RULES)


def test_deny_list_applies_to_callbacks_and_allow_list_does_not() -> None:
    body = json.dumps({"url": URL, "callback_url": "https://hooks.example.org/x"})
    keyed = replace(call(body), key_id="key-1")
    assert read_body(keyed, Rules(Egress.of(allowed="example.com"), 600)).subscribers
    with pytest.raises(Rejected, match="callback_not_allowed"):
        read_body(keyed, Rules(Egress.of(denied="*.example.org"), 600))
