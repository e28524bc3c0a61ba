"""Signs callbacks by Standard Webhooks 1.0.0.

The asymmetric scheme is always used, because its receivers need no secret. The symmetric scheme is used in addition if
the operator has set a secret for receivers that know no other.

The private key is derived from a generated password, because Secrets Manager can generate passwords but no keys. The
secret may contain several passwords, separated by commas, the newest first. Each of them signs and has a public key, so
receivers can change to a new key in their own time (`new,old`, and later `new`). The symmetric secret has the form that
the receivers' libraries expect: `whsec_` and 24 to 64 bytes as base64. It may contain several, too.

PyNaCl is imported only when keys are needed: `api` serves the public keys, but its cold start must not import PyNaCl.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from urlshot.core.cached import Cached
from urlshot.core.errors import Broken

if TYPE_CHECKING:
    from nacl.signing import SigningKey

_LABEL = b"urlshot webhook ed25519 v1\n"


class WebhookKeys:
    """The signing keys of one deployment."""

    def __init__(self, secret: Callable[[], str], symmetric: Callable[[], str] | None = None) -> None:
        """Prepares the keys; the secrets are read when they are first needed.

        Args:
            secret: Reads the secret of the asymmetric scheme.
            symmetric: Reads the secret of the symmetric scheme, if there is one.
        """
        self._keys = Cached(lambda: _keys(secret()))
        self._symmetric = Cached(lambda: _symmetric_keys(symmetric()) if symmetric is not None else [])

    def sign(self, webhook_id: str, timestamp: int, body: bytes) -> str:
        """Returns the header `webhook-signature`.

        Args:
            webhook_id: The header `webhook-id`.
            timestamp: The time of this attempt, in seconds since 1970.
            body: The body of the callback.

        Raises:
            Transient, Broken: A secret cannot be read or has the wrong form.
        """
        text = f"{webhook_id}.{timestamp}.".encode() + body
        signatures = [("v1a", key.sign(text).signature) for key in self._keys.get()]
        signatures += [("v1", hmac.digest(key, text, "sha256")) for key in self._symmetric.get()]
        return " ".join(f"{version},{b64encode(signature).decode()}" for version, signature in signatures)

    def public(self) -> list[str]:
        """Returns the public keys, `whpk_…`, the newest first.

        Raises:
            Transient, Broken: The secret cannot be read or has the wrong form.
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
        raise Broken("the symmetric secret of the callbacks does not have 24 to 64 bytes")
    return keys


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise Broken("the secret of the callbacks is empty")
    return parts
