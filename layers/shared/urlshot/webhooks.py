"""How callbacks are signed: Standard Webhooks 1.0.0, its asymmetric scheme, so that who verifies holds no secret; and
its symmetric one besides, where the operator has given a secret for receivers that know only that.

The private key is derived from a generated password, which is what Secrets Manager can make by itself. The secret may
hold several with commas between them, the newest first: then each signs, and each has its public key, so that receivers
change over in their own time (`new,old`, and later `new`). The symmetric secret is what the receivers have, in the
form that their libraries take: `whsec_` and 24 to 64 bytes as base64; it may hold several as well.

PyNaCl is imported where it is needed only: `api` has the public keys to tell, and its cold start is not to pay for it.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from urlshot.errors import Broken
from urlshot.kept import Kept

if TYPE_CHECKING:
    from nacl.signing import SigningKey

_LABEL = b"urlshot webhook ed25519 v1\n"


class WebhookKeys:
    """The keys of one deployment; `secret` gives the secret's text, `symmetric` that of the symmetric one if any."""

    def __init__(self, secret: Callable[[], str], symmetric: Callable[[], str] | None = None) -> None:
        self._keys = Kept(lambda: _keys(secret()))
        self._symmetric = Kept(lambda: _symmetric_keys(symmetric()) if symmetric is not None else [])

    def sign(self, webhook_id: str, timestamp: int, body: bytes) -> str:
        """The header `webhook-signature`; `timestamp` is the attempt's, in seconds since 1970.

        Raises:
            Transient, Broken: the secret cannot be had.
        """
        text = f"{webhook_id}.{timestamp}.".encode() + body
        signatures = [("v1a", key.sign(text).signature) for key in self._keys.get()]
        signatures += [("v1", hmac.digest(key, text, "sha256")) for key in self._symmetric.get()]
        return " ".join(f"{version},{b64encode(signature).decode()}" for version, signature in signatures)

    def public(self) -> list[str]:
        """The public keys, `whpk_…`, the newest first.

        Raises:
            Transient, Broken: the secret cannot be had.
        """
        return [f"whpk_{b64encode(bytes(key.verify_key)).decode()}" for key in self._keys.get()]


def _keys(text: str) -> list[SigningKey]:
    from nacl.signing import SigningKey

    passwords = _parts(text)
    return [SigningKey(hashlib.sha256(_LABEL + password.encode()).digest()) for password in passwords]


def _symmetric_keys(text: str) -> list[bytes]:
    try:
        keys = [b64decode(part.removeprefix("whsec_"), validate=True) for part in _parts(text)]
    except ValueError as error:
        raise Broken("the symmetric secret of the callbacks is not base64") from error
    if not all(24 <= len(key) <= 64 for key in keys):
        raise Broken("the symmetric secret of the callbacks has not 24 to 64 bytes")
    return keys


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise Broken("the secret of the callbacks is empty")
    return parts
