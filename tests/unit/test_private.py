"""The secrets of a private job are bounded, unchanged and shown nowhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from urlshot.core.options import invalid
from urlshot.core.private import MAX_COOKIES, MAX_HEADERS, Private

SECRET = "made-up-0b5e"
FULL = {
    "headers": {"X-Key": SECRET, "Authorization": f"Bearer {SECRET}"},
    "cookies": [{"name": "session", "value": SECRET}, {"name": "b", "value": SECRET, "path": "/b"}],
}


def test_private_survives_json_and_shows_no_secret() -> None:
    for value in (FULL, {"basic_auth": {"username": "u" + SECRET, "password": SECRET}}):
        private = Private.model_validate(value)
        assert private
        assert SECRET not in f"{private!r} {private}"
        plain = json.loads(json.dumps(private.model_dump(mode="json", exclude_defaults=True)))
        assert SECRET in json.dumps(plain)
        assert Private.model_validate(plain) == private
        assert Private.model_validate_json(private.model_dump_json()) == private


def test_empty_private_is_falsy() -> None:
    assert not Private()
    assert not Private.model_validate({"headers": {}, "cookies": [], "basic_auth": None})


def test_names_of_headers_are_equal_in_any_case() -> None:
    assert list(Private.model_validate({"headers": {"X-KEY": "1"}}).headers) == ["x-key"]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"headers": {"Host": SECRET}}, "headers.Host"),
        ({"headers": {"Cookie": SECRET}}, "headers.Cookie"),
        ({"headers": {"Sec-Fetch-Site": SECRET}}, "headers.Sec-Fetch-Site"),
        ({"headers": {"Proxy-Authorization": SECRET}}, "headers.Proxy-Authorization"),
        ({"headers": {"a b": SECRET}}, "headers.a b"),
        ({"headers": {"x": SECRET + "\r\nHost: y"}}, "headers.x"),
        ({"headers": {"x": SECRET + "ſ"}}, "headers.x"),
        ({"headers": {"x": SECRET * 500}}, "headers.x"),
        ({"headers": {f"x-{n}": SECRET for n in range(MAX_HEADERS + 1)}}, "headers"),
        ({"cookies": [{"name": "a;b", "value": SECRET}]}, "cookies.0.name"),
        ({"cookies": [{"name": "a", "value": SECRET + ";b"}]}, "cookies.0.value"),
        ({"cookies": [{"name": "a", "value": SECRET, "path": "x"}]}, "cookies.0.path"),
        ({"cookies": [{"name": "a", "value": SECRET, "path": "/x; Domain=other.example"}]}, "cookies.0.path"),
        ({"cookies": [{"name": "a", "value": SECRET, "path": "x/"}]}, "cookies.0.path"),
        ({"cookies": [{"name": "a", "value": SECRET, "domain": "other.example"}]}, "cookies.0.domain"),
        ({"cookies": [{"name": "a", "value": SECRET}] * (MAX_COOKIES + 1)}, "cookies"),
        ({"basic_auth": {"username": "a:b", "password": SECRET}}, "basic_auth.username"),
        ({"basic_auth": {"username": "a", "password": SECRET + "\n"}}, "basic_auth.password"),
        ({"basic_auth": SECRET}, "basic_auth"),
        ({"secret": SECRET}, "secret"),
    ],
)
def test_wrong_field_is_named_without_its_value(value: object, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Private.model_validate(value)
    assert SECRET not in str(caught.value)
    refusal = invalid(caught.value)
    assert (refusal.field or "").startswith(field)
    assert SECRET not in f"{refusal} {refusal.public()}"


def test_header_authorization_and_basic_auth_are_refused_together() -> None:
    with pytest.raises(ValidationError):
        Private.model_validate({"headers": {"authorization": "x"}, "basic_auth": {"username": "a", "password": SECRET}})


@given(
    st.recursive(
        st.none() | st.text(),
        lambda inner: (
            st.dictionaries(st.sampled_from([*Private.model_fields, "name", "value", "x"]), inner) | st.lists(inner)
        ),
    )
)
def test_any_json_is_private_or_is_refused(value: object) -> None:
    try:
        private = Private.model_validate(value)
    except ValidationError as error:
        assert invalid(error).detail
        return
    assert Private.model_validate(private.model_dump(mode="json")) == private


def test_headers_and_cookies_together_are_bounded() -> None:
    most = {f"x-{number}": "v" * 4000 for number in range(7)}
    assert Private.model_validate({"headers": most})
    with pytest.raises(ValidationError, match="32000 characters"):
        Private.model_validate({"headers": most, "cookies": [{"name": "c", "value": "v" * 4000}]})
