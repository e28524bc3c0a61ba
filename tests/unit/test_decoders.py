"""Any input is read or refused by each decoder, and none raises an unexpected error.

The decoders of messages, options, private parts and invocation records have such tests beside their tables.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.api.http import Call
from functions.api.requests import Rules, batch_of, from_body
from functions.callback.completion import completion
from functions.dispatch.batch import deliveries
from functions.log.app import handler as log
from functions.mail.text import DONE, FAILED, compose
from functions.render.page.look import Look
from functions.render.page.look import read as read_look
from functions.render.page.scripts import number
from functions.render.page.scroll import _heights
from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected
from urlshot.core.events import Detail, refusal
from urlshot.core.identity import job_id
from urlshot.core.links import FileLinks
from urlshot.core.messages import QUEUE, QUEUES, RETURNED
from urlshot.core.records import Record
from urlshot.core.render_contract import RenderAnswer, RenderJob, Report
from urlshot.core.subscriptions import Subscription

URL = "https://example.com/"
TEXTS = st.text(max_size=20) | st.text(st.characters(codec=None), max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
JSON = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=9), x, max_size=3), max_leaves=8
)
AT = datetime(2026, 1, 2, tzinfo=UTC)
REPORT = {
    "final_url": URL, "status": 200, "title": "t", "pages": 1, "bytes": 1, "sha256": "", "phases": {}, "network": {},
    "chromium": "", "cold": False,
}  # fmt: skip
DETAIL: dict[str, Any] = {
    "event_key": "x:y:done", "id": "a" * 40, "url": URL, "bucket": "b", "key": "pdf/x.pdf", "report": REPORT,
    "error": None, "attempts": 1, "cached": False, "requested_at": AT.isoformat(), "finished_at": AT.isoformat(),
    "queue_seconds": 0.5, "render_seconds": 0.5,
}  # fmt: skip
RECORD: dict[str, Any] = {
    "id": "a" * 40, "url": URL, "options": {}, "generation": "g", "state": "done", "lease_until": AT.isoformat(),
    "requested_at": AT.isoformat(), "report": REPORT,
}  # fmt: skip
JOB: dict[str, Any] = {"id": "a" * 40, "generation": "g", "url": URL, "upload": None}
ANSWER: dict[str, Any] = {"id": "a" * 40, "generation": "g", "report": REPORT, "etag": "e"}


def changed(value: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Returns values in which some fields are replaced by anything."""
    return st.dictionaries(st.sampled_from(sorted(value)), JSON, max_size=3).map(lambda more: {**value, **more})


@pytest.mark.parametrize(
    ("model", "value"), [(Detail, DETAIL), (Record, RECORD), (RenderJob, JOB), (RenderAnswer, ANSWER), (Report, REPORT)]
)
@given(st.data())
def test_stored_or_sent_json_is_read_or_refused(model: Any, value: dict[str, Any], data: st.DataObject) -> None:
    given_value = data.draw(changed(value) | JSON)
    text = json.dumps(given_value)
    for read in (lambda: model.model_validate(given_value), lambda: model.model_validate_json(text)):
        try:
            found = read()
        except ValidationError:
            continue
        assert model.model_validate_json(found.model_dump_json()) == found or "nan" in found.model_dump_json().lower()


@given(st.binary(max_size=200) | TEXTS.map(lambda text: text.encode(errors="replace")))
def test_any_bytes_are_a_record_or_are_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        Record.model_validate_json(body)


@given(TEXTS, TEXTS, st.dictionaries(st.sampled_from(["code", "detail", "remedy"]), TEXTS) | st.none())
def test_any_event_becomes_a_mail_and_a_callback(title: str, console: str, error: dict[str, str] | None) -> None:
    event = Detail.model_validate(
        {**DETAIL, "report": {**REPORT, "title": title, "console": [console]}, "error": error}
    )
    mail = compose(event, "https://a", FileLinks(None))
    assert mail.subject == (FAILED if error is not None else DONE)
    assert mail.text.encode() and mail.text.splitlines() == mail.text.split("\n")[:-1]
    body = json.loads(completion(event, "https://a", FileLinks(lambda: b"key")))
    assert body["data"]["state"] == ("failed" if error is not None else "done")
    log({"detail": event.model_dump(mode="json")}, None)


HEADERS = st.dictionaries(
    st.sampled_from(["x-death", "h", "bytes"]),
    JSON | st.lists(st.fixed_dictionaries({"queue": JSON | st.fixed_dictionaries({"bytes": JSON}), "reason": JSON})),
)


@given(st.binary(max_size=50), HEADERS, JSON, st.booleans(), st.sampled_from([RETURNED, QUEUE]))
def test_delivery_with_any_properties_is_read(body: bytes, headers: Any, name: Any, again: bool, queue: str) -> None:
    message = {"data": base64.b64encode(body).decode(), "redelivered": again}
    message |= {"basicProperties": {"headers": headers, "correlationId": name}}
    [found] = deliveries({"rmqMessagesByQueue": {f"{queue}::/": [message]}})
    assert (found.body, found.redelivered) == (body, again)
    assert found.queue in QUEUES.values()
    assert len(found.correlation_id.encode()) <= 255  # as AMQP takes it
    assert bool(found.returned) == (queue == RETURNED)


@pytest.mark.parametrize("value", [10**12, 10**30, -1, [256], [10**30], "x", None, [65, 66]])
def test_death_with_strange_bytes_has_an_unknown_queue(value: Any) -> None:
    """`bytes` of a number would make as many zeros, and end the function for all messages of its batch."""
    headers = {"x-death": [{"queue": {"bytes": value}, "reason": {"bytes": value}}]}
    message = {"data": "", "basicProperties": {"headers": headers}}
    [found] = deliveries({"rmqMessagesByQueue": {f"{RETURNED}::/": [message]}})
    assert (found.queue, found.returned) == (QUEUE, "unknown")


RULES = Rules(Egress(), max_age=600)
FIELDS = ["options", "private", "max_age", "callback_url", "notify", "priority", "url"]


def call(body: str, *, is_base64: bool = False) -> Call:
    return Call("POST", "/pdf", "https://api.example.org/prod", "r-1", body=body, is_base64=is_base64, key_id="k")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(URL), max_size=4), st.booleans())
def test_any_body_is_a_request_or_is_refused(more: dict[str, Any], is_base64: bool) -> None:
    body = json.dumps({"url": URL, **more})
    try:
        wanted = from_body(
            call(base64.b64encode(body.encode()).decode() if is_base64 else body, is_base64=is_base64), RULES
        )
    except Rejected as error:
        assert error.public()["code"]
        return
    request = wanted.request
    assert request.private or request.id == job_id(request.url, request.options.changed())
    assert all(one.address.startswith("https://") for one in wanted.subscribers if one.kind == "callback")


@given(TEXTS | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()), st.booleans())
def test_any_batch_is_read_or_refused(body: str, is_base64: bool) -> None:
    with pytest.raises(Rejected):
        batch_of(call(body, is_base64=is_base64))


@given(
    st.binary(max_size=60) | (JSON | st.fixed_dictionaries({"url": JSON})).map(lambda value: json.dumps(value).encode())
)
@example(b'{"url": "\\ud800"}')
def test_any_refused_message_is_announced(body: bytes) -> None:
    assert json.loads(refusal(body, {"code": "invalid_json"}, AT).model_dump_json().encode())


KEYS = st.from_regex(r"sub/[0-9a-f]{1,40}/(callback|mail)-[0-9a-f]{32}-[0-9]{13}-[0-9a-f]{16}\.json", fullmatch=True)


@given(KEYS | TEXTS)
def test_any_key_is_a_subscription_or_none(key: str) -> None:
    found = Subscription.parse(key)
    assert found is None or found.key == key


@given(TEXTS, st.text("0123456789abcdef", max_size=41))
def test_any_token_is_refused_without_an_error(token: str, name: str) -> None:
    links = FileLinks(lambda: b"key")
    assert not links.opens(name, token) or links.path(name).endswith(token)


FACTS = {
    "title": "t", "text": 1, "media": True, "drawing": False, "traces": [], "password": False, "missing": [],
    "broken": 0, "filtered": 0, "no_webgl": 0, "plugins": 0, "videos": 0, "torn": 0,
}  # fmt: skip


@given(changed(FACTS) | JSON)
def test_any_facts_of_a_page_are_read_or_refused(facts: Any) -> None:
    try:
        found = read_look(facts, URL, URL)
    except (TypeError, ValueError, KeyError):  # `look` takes these for a page that has changed its objects
        return
    assert isinstance(found, Look)
    assert len(found.title) <= 500 and len(found.images_missing) <= 20


@given(JSON)
def test_any_number_of_a_page_is_finite_or_refused(value: Any) -> None:
    assert all(isinstance(height, int) for height in _heights(value))
    try:
        found = number(value)
    except ValueError:
        return
    assert -1e9 <= found <= 1e9
