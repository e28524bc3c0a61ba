"""From an HTTP event to what is asked for."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.requests import MAX_BODY, MAX_HOPS, Rules, from_body, from_query
from urlshot.egress import Egress
from urlshot.errors import Rejected
from urlshot.identity import job_id
from urlshot.options import Margin, Options

RULES = Rules(Egress(), max_age=600)
URL = "https://example.com/"


def test_a_body_with_a_url_is_enough() -> None:
    request = from_body(json.dumps({"url": "https://EXAMPLE.com"}), is_base64=False, rules=RULES)
    assert (request.url, request.id, request.options, request.max_age) == (URL, job_id(URL, {}), Options(), 600)


def test_a_body_in_base64_is_the_same() -> None:
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
def test_a_wrong_body_is_named_by_its_field(body: str | None, code: str, field: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        from_body(body, is_base64=False, rules=RULES)
    assert (caught.value.code.name, caught.value.field) == (code, field)


def test_a_body_that_is_not_base64_is_no_surprise() -> None:
    with pytest.raises(Rejected, match="invalid_json"):
        from_body("%%%", is_base64=True, rules=RULES)


def test_a_query_takes_the_options_by_their_names() -> None:
    query = {
        "url": URL, "max_age": "5", "landscape": "true", "background": "0", "scale": "0.5", "format": "A5",
        "page_ranges": "1-2", "margin": "1cm",
    }  # fmt: skip
    request, hops = from_query(query, RULES)
    centimetre = Margin(top="10mm", right="10mm", bottom="10mm", left="10mm")
    assert request.options == Options(
        landscape=True, background=False, scale=0.5, format="A5", page_ranges="1-2", margin=centimetre
    )
    assert (request.max_age, hops) == (5, 0)


def test_a_query_takes_numbers_and_lists_and_leaves_what_has_fields_to_a_body() -> None:
    query = {
        "url": URL,
        "delay": "1.5",
        "fail_on": "status, console",
        "wait_for": "#a",
        "width": "1in",
        "height": "2in",
    }
    request, _ = from_query(query, RULES)
    assert request.options.changed() == {
        "delay": 1.5, "fail_on": ["console", "status"], "wait_for": "#a", "width": "25.4mm", "height": "50.8mm"
    }  # fmt: skip
    assert from_query({"url": URL, "fail_on": ""}, RULES)[0].options.fail_on == ()
    for name in ("viewport", "metadata"):
        with pytest.raises(Rejected, match="POST"):
            from_query({"url": URL, name: "x"}, RULES)


def test_a_query_and_a_body_that_ask_the_same_make_one_job() -> None:
    by_query, _ = from_query({"url": "https://example.com", "landscape": "true"}, RULES)
    by_body = from_body('{"url": "https://example.com/", "options": {"landscape": true}}', is_base64=False, rules=RULES)
    assert by_query.id == by_body.id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "url"),
        ({"url": URL, "b": "2"}, "b"),  # of a page's URL that was not percent-encoded
        ({"url": URL, "landscape": "yes"}, "landscape"),
        ({"url": URL, "scale": "big"}, "scale"),
        ({"url": URL, "scale": "nan"}, "options.scale"),
        ({"url": URL, "max_age": "-1"}, "max_age"),
        ({"url": URL, "max_age": "1" * 11}, "max_age"),
        ({"url": URL, "hops": str(MAX_HOPS + 1)}, "hops"),
        ({"url": URL, "hops": "x"}, "hops"),
    ],
)
def test_a_wrong_query_is_named_by_its_parameter(query: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        from_query(query, RULES)
    assert caught.value.field == field


@given(
    st.dictionaries(
        st.sampled_from(["url", "max_age", "hops", *Options.model_fields]) | st.text(max_size=5), st.text(max_size=20)
    )
)
def test_any_query_is_a_request_or_a_refusal(query: dict[str, str]) -> None:
    try:
        request, _ = from_query({"url": URL} | query, RULES)
    except Rejected as error:
        assert error.public()["code"]
        return
    assert request.id == job_id(request.url, request.options.changed())


@given(st.text(max_size=100) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_any_body_is_a_request_or_a_refusal(body: str) -> None:
    with pytest.raises(Rejected):
        from_body(body, is_base64=False, rules=RULES)
