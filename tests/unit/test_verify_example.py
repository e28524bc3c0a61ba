"""The documented verification accepts the endpoint's callbacks, rejects all others and never raises."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.examples.verify import verified
from urlshot.core.webhooks import WebhookKeys

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = WebhookKeys(lambda: "new, old")
BODY = b'{"type": "shot.completed"}'


def headers(keys: WebhookKeys = KEYS, age: int = 0, **changed: str | None) -> dict[str, str]:
    """Returns the headers of a callback; `changed` replaces headers, or removes them by None."""
    now = int(time.time()) - age
    made: dict[str, str | None] = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": keys.sign("msg_1", now, BODY),
    }
    made |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in made.items() if value is not None}


def test_callback_is_verified_by_any_of_the_keys() -> None:
    for key in KEYS.public():
        assert verified(headers(), BODY, [key])
    both = headers(WebhookKeys(lambda: "new", lambda: SECRET))
    assert both["webhook-signature"].count(" ") == 1
    assert verified(both, BODY, KEYS.public())
    first, second = both["webhook-signature"].split(" ")
    assert verified({**both, "webhook-signature": f"{second} v9,x {first}"}, BODY, KEYS.public())


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_id": None},
        {"webhook_id": ""},
        {"webhook_id": "msg_2"},
        {"webhook_timestamp": None},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "²"},
        {"webhook_timestamp": "١٦٧٤٠٨٧٢٣١"},
        {"webhook_timestamp": "9" * 5000},
        {"webhook_signature": None},
        {"webhook_signature": ""},
        {"webhook_signature": "v1a"},
        {"webhook_signature": "v1a,"},
        {"webhook_signature": "v1a,!!!"},
        {"webhook_signature": "v1a,ä"},
        {"webhook_signature": "v1a,c2hvcnQ="},
        {"webhook_signature": "v2,c2hvcnQ= ,"},
    ],
)
def test_callback_with_a_wrong_header_is_not_verified(changed: dict[str, str | None]) -> None:
    assert verified(headers(**changed), BODY, KEYS.public()) is False


def test_old_or_changed_or_foreign_callback_is_not_verified() -> None:
    assert not verified(headers(age=400), BODY, KEYS.public())
    assert not verified(headers(age=-400), BODY, KEYS.public())
    assert not verified(headers(), BODY + b" ", KEYS.public())
    assert not verified(headers(WebhookKeys(lambda: "another")), BODY, KEYS.public())
    assert not verified(headers(), BODY, [])
    good = headers()["webhook-signature"].split(",")[1].split(" ")[0]
    assert not verified(headers(webhook_signature=f"v1,{good}"), BODY, KEYS.public())


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
def test_any_headers_get_an_answer(noise: dict[str, str]) -> None:
    assert verified(noise, BODY, KEYS.public()) is False
