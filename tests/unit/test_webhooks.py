"""Callbacks are signed as Standard Webhooks 1.0.0 says, by keys that follow from a secret."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tests.hooks import Post
from urlshot.core.errors import Broken
from urlshot.core.webhooks import WebhookKeys

KEYS = WebhookKeys(lambda: "current")


def posted(keys: WebhookKeys, body: bytes = b"{}") -> Post:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1674087231"}
    return Post("/", {**headers, "webhook-signature": keys.sign("msg_1", 1674087231, body)}, body)


@given(st.binary(max_size=200))
def test_signature_is_verified_by_the_public_key(body: bytes) -> None:
    assert posted(KEYS, body).signed_by(KEYS.public()[0])


def test_key_follows_from_the_secret_and_does_not_show_it() -> None:
    [key] = KEYS.public()
    assert WebhookKeys(lambda: "current").public() == [key]
    assert WebhookKeys(lambda: "other").public() != [key]
    assert key.startswith("whpk_") and len(b64decode(key.removeprefix("whpk_"))) == 32
    Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))


def test_both_keys_sign_and_are_published_during_a_rotation() -> None:
    both = WebhookKeys(lambda: "new, current")
    assert both.public() == [*WebhookKeys(lambda: "new").public(), *KEYS.public()]
    for key in both.public():
        assert posted(both).signed_by(key)
    assert posted(KEYS).signed_by(both.public()[1])
    assert not posted(KEYS).signed_by(both.public()[0])


WHSEC = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b64encode(bytes(range(40))).decode()]


def test_symmetric_secret_adds_a_standard_v1_signature() -> None:
    keys = WebhookKeys(lambda: "current", lambda: ", ".join(WHSEC))
    headers = posted(keys, b"body").headers
    first, *symmetric = headers["webhook-signature"].split(" ")
    assert first == KEYS.sign("msg_1", 1674087231, b"body")
    for secret, signature in zip(WHSEC, symmetric, strict=True):
        key = b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, b"msg_1.1674087231.body", hashlib.sha256).digest()
        assert signature == f"v1,{b64encode(digest).decode()}"
    assert keys.public() == KEYS.public()


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!", b64encode(bytes(65)).decode()])
def test_invalid_symmetric_secret_is_an_error(text: str) -> None:
    with pytest.raises(Broken):
        WebhookKeys(lambda: "current", lambda: text).sign("msg_1", 1, b"")


@pytest.mark.parametrize("text", ["", " , "])
def test_empty_secret_is_an_error(text: str) -> None:
    with pytest.raises(Broken):
        WebhookKeys(lambda: text).public()


def test_api_and_dispatch_start_without_the_library_for_signatures() -> None:
    script = (
        "import functions.api.app, functions.dispatch.app, urlshot.core.webhooks, sys; sys.exit('nacl' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ".:layers/shared"}).returncode == 0
