"""The local S3 checks the policy of a presigned POST as S3 does."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.render.upload import multipart
from infra.local.aws.post_policy import Form, refusal

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def form(conditions: list[Any], size: int = 10, seconds: int = 60, **fields: str) -> Form:
    expiration = (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = json.dumps({"expiration": expiration, "conditions": conditions})
    return Form({**fields, "policy": base64.b64encode(policy.encode()).decode()}, size)


EXACT = {"key": "k"}
ALLOWED = {
    "equal": form([{"key": "k"}], **EXACT),
    "equal, as a list": form([["eq", "$key", "k"]], **EXACT),
    "operator and name in capitals": form([["EQ", "$Key", "k"]], **EXACT),
    "beginning": form([["starts-with", "$key", "up/"]], key="up/k"),
    "any value": form([["starts-with", "$key", ""]], **EXACT),
    "bucket of the address": form([{"bucket": "b"}, {"key": "k"}], **EXACT),
    "smallest": form([{"key": "k"}, ["content-length-range", 10, 20]], 10, **EXACT),
    "largest": form([{"key": "k"}, ["content-length-range", 1, 10]], 10, **EXACT),
    "ignored field": form([{"key": "k"}], **EXACT, **{"x-ignore-me": "1", "x-amz-signature": "2"}),
    "no policy": Form({"key": "k"}, 10),
}
REFUSED = {
    "other key": (form([{"key": "other"}], **EXACT), 403, "AccessDenied"),
    "other beginning": (form([["starts-with", "$key", "up/"]], key="down/k"), 403, "AccessDenied"),
    "missing field": (form([{"key": "k"}, {"content-type": "a/b"}], **EXACT), 403, "AccessDenied"),
    "other bucket": (form([{"bucket": "other"}, {"key": "k"}], **EXACT), 403, "AccessDenied"),
    "field without a condition": (form([{"key": "k"}], acl="public-read", **EXACT), 403, "AccessDenied"),
    "too small": (form([{"key": "k"}, ["content-length-range", 11, 20]], 10, **EXACT), 400, "EntityTooSmall"),
    "too large": (form([{"key": "k"}, ["content-length-range", 1, 9]], 10, **EXACT), 400, "EntityTooLarge"),
    "policy that is not JSON": (Form({**EXACT, "policy": "e30x"}, 10), 400, "InvalidPolicyDocument"),
    "policy without conditions": (Form({**EXACT, "policy": "e30="}, 10), 400, "InvalidPolicyDocument"),
    "condition of another form": (form([{"key": "k"}, ["eq", "$key"]], **EXACT), 400, "InvalidPolicyDocument"),
    "expiration without a zone": (
        Form(
            {**EXACT, "policy": base64.b64encode(b'{"expiration": "2026-01-03T00:00:00", "conditions": []}').decode()},
            10,
        ),
        400,
        "InvalidPolicyDocument",
    ),
    "expired": (form([{"key": "k"}], seconds=0, **EXACT), 403, "AccessDenied"),
}


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=list(ALLOWED))
def test_form_that_its_policy_allows_is_accepted(allowed: Form) -> None:
    assert refusal(allowed, "b", NOW) is None


@pytest.mark.parametrize(("form", "status", "code"), REFUSED.values(), ids=list(REFUSED))
def test_form_that_its_policy_forbids_is_refused(form: Form, status: int, code: str) -> None:
    found = refusal(form, "b", NOW)
    assert found is not None
    assert (found.status, found.code) == (status, code)


def test_expired_form_has_the_text_that_render_reads() -> None:
    found = refusal(form([{"key": "k"}], seconds=-1, **EXACT), "b", NOW)
    assert found is not None
    assert "xpired" in found.message


TEXT = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n'), max_size=20)


@given(st.dictionaries(TEXT.filter(lambda name: name.lower() != "file"), TEXT, max_size=5), st.binary(max_size=200))
def test_body_of_a_form_is_read_back(fields: dict[str, str], pdf: bytes) -> None:
    boundary = "b" * 32
    before, after = multipart(fields, boundary)
    found = Form.read(f"multipart/form-data; boundary={boundary}", before + pdf + after)
    assert found == Form({name.lower(): value for name, value in fields.items()}, len(pdf))
