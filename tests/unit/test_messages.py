"""Messages on the queue are ours, a bare message of any AMQP client, or refused."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core import messages
from urlshot.core.errors import Rejected
from urlshot.core.messages import BareMessage, StartMessage, parse_message
from urlshot.core.options import Options
from urlshot.core.private import Private

OURS = StartMessage(
    id="a" * 40,
    generation="0123456789abcdef",
    url="https://example.com/",
    options=Options(landscape=True),
    requested_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def test_own_message_has_the_documented_form() -> None:
    assert json.loads(OURS.body()) == {
        "version": 1,
        "id": "a" * 40,
        "generation": "0123456789abcdef",
        "url": "https://example.com/",
        "options": {"landscape": True},
        "requested_at": "2026-01-02T03:04:05Z",
    }
    assert parse_message(OURS.body()) == OURS


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({"url": "https://example.com/"}, Options()),
        ({"url": "https://example.com/", "options": {"format": "A5"}}, Options(format="A5")),
        ({"url": "https://example.com/", "id": 7, "their": "own"}, Options()),
    ],
)
def test_bare_message_needs_only_a_url(body: dict[str, object], options: Options) -> None:
    message = parse_message(json.dumps(body).encode())
    assert message == BareMessage(url="https://example.com/", options=options)
    assert parse_message(message.body()) == message


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "invalid_json", None),
        (b"not json", "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b'{"url": "' + b"a" * 1_000_000 + b'"}', "body_too_large", None),
        (b"null", "invalid_request", "url"),
        (b'"https://example.com/"', "invalid_request", "url"),
        (b"{}", "invalid_request", "url"),
        (b'{"url": 1}', "invalid_request", "url"),
        (b'{"url": "https://example.com/", "options": {"x": 1}}', "invalid_request", "options.x"),
        (OURS.body().replace(b'"version": 1', b'"version": 2'), "invalid_request", "version"),
        (OURS.body().replace(b"a" * 40, b"../../etc"), "invalid_request", "id"),
        (OURS.body().replace(b"2026", b"soon"), "invalid_request", "requested_at"),
    ],
)
def test_invalid_message_is_refused_with_its_reason(body: bytes, code: str, field: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        parse_message(body)
    assert (caught.value.code.name, caught.value.field) == (code, field)


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["url", "generation", "id", "options", "version"]), x),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_message_or_are_refused(body: bytes) -> None:
    try:
        message = parse_message(body)
    except Rejected as error:
        assert error.detail
        return
    assert isinstance(message.url, str)


@pytest.mark.parametrize(
    ("value", "priority"), [({}, None), ({"priority": "bulk"}, "bulk"), ({"priority": "normal"}, "normal")]
)
def test_bare_message_may_name_its_priority(value: dict[str, str], priority: str | None) -> None:
    message = parse_message(json.dumps({"url": "https://example.com/", **value}).encode())
    assert isinstance(message, BareMessage)
    assert message.priority == priority


def test_unknown_priority_is_rejected_by_its_name() -> None:
    with pytest.raises(Rejected) as caught:
        parse_message(b'{"url": "https://example.com/", "priority": "urgent"}')
    assert (caught.value.code.name, caught.value.field) == ("invalid_request", "priority")


def test_every_priority_has_a_queue_and_a_key() -> None:
    assert messages.QUEUES == {"normal": "generate_shot", "bulk": "generate_shot_bulk"}
    assert messages.START_KEYS == {"normal": "shot_direct.start", "bulk": "shot_direct.start.bulk"}
    assert messages.delay_queue("generate_shot_bulk", 195) == "generate_shot_bulk_retry_195s"


@pytest.mark.parametrize("text", ["", "0", "5,5", "30,5", "x", "5,", "90000"])
def test_invalid_delays_are_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        messages.parse_delays(text)


SECRET = {"headers": {"x-token": "s3cret"}, "cookies": [{"name": "sid", "value": "s3cret"}]}


def test_secrets_of_a_private_job_are_in_its_message_and_in_no_repr() -> None:
    private = Private.model_validate(SECRET)
    ours = OURS.model_copy(update={"id": "a" * 32, "private": private})
    for message in (ours, BareMessage(url=OURS.url, private=private)):
        assert json.loads(message.body())["private"] == SECRET
        assert parse_message(message.body()) == message
        assert "s3cret" not in repr(message)
    assert "private" not in json.loads(OURS.body())


def test_message_with_secrets_and_the_id_of_a_public_job_is_refused() -> None:
    """Its PDF would be stored where everybody who asks for the URL gets it."""
    body = OURS.model_copy(update={"private": Private.model_validate(SECRET)}).body()
    with pytest.raises(Rejected) as caught:
        parse_message(body)
    assert (caught.value.code.name, caught.value.field) == ("invalid_request", "id")
    assert "s3cret" not in str(caught.value)


def test_dead_message_has_no_secrets_and_is_refused_without_them() -> None:
    body = BareMessage(url=OURS.url, private=Private.model_validate(SECRET)).body()
    dead = messages.stripped(body)
    assert b"s3cret" not in dead
    assert json.loads(dead) == {**json.loads(body), "private": "stripped"}
    with pytest.raises(Rejected) as caught:
        parse_message(dead)
    assert caught.value.field == "private"


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"url": "https://example.com/"}'])
def test_message_without_secrets_is_kept_unchanged(body: bytes) -> None:
    assert messages.stripped(body) == body


def test_refusal_does_not_quote_a_wrong_secret() -> None:
    body = json.dumps({"url": OURS.url, "private": {"headers": {"x-token": "s3cret\r\nx: y"}}}).encode()
    with pytest.raises(Rejected) as caught:
        parse_message(body)
    assert "s3cret" not in str(caught.value)
    assert "private" in (caught.value.field or "")
