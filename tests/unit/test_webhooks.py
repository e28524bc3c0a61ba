"""Signatures as Standard Webhooks 1.0.0 has them, and their keys."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tests.hooks import Post
from urlshot.errors import Broken
from urlshot.webhooks import WebhookKeys

KEYS = WebhookKeys(lambda: "current")


def posted(keys: WebhookKeys, body: bytes = b"{}") -> Post:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1674087231"}
    return Post("/", {**headers, "webhook-signature": keys.sign("msg_1", 1674087231, body)}, body)


@given(st.binary(max_size=200))
def test_what_is_signed_can_be_verified_by_the_public_key(body: bytes) -> None:
    assert posted(KEYS, body).signed_by(KEYS.public()[0])


def test_the_key_follows_from_the_secret_and_does_not_show_it() -> None:
    [key] = KEYS.public()
    assert WebhookKeys(lambda: "current").public() == [key]
    assert WebhookKeys(lambda: "other").public() != [key]
    assert key.startswith("whpk_") and len(b64decode(key.removeprefix("whpk_"))) == 32
    Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))


def test_while_the_secret_is_changed_both_keys_sign_and_both_are_told() -> None:
    both = WebhookKeys(lambda: "new, current")
    assert both.public() == [*WebhookKeys(lambda: "new").public(), *KEYS.public()]
    for key in both.public():
        assert posted(both).signed_by(key)
    assert posted(KEYS).signed_by(both.public()[1])
    assert not posted(KEYS).signed_by(both.public()[0])


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_secret_signs_nothing(text: str) -> None:
    with pytest.raises(Broken):
        WebhookKeys(lambda: text).public()


def test_neither_api_nor_dispatch_imports_the_library_at_their_start() -> None:
    script = "import functions.api.app, functions.dispatch.app, urlshot.webhooks, sys; sys.exit('nacl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ".:layers/shared"}).returncode == 0
