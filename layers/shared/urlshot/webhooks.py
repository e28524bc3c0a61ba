"""How callbacks are signed: Standard Webhooks 1.0.0, its asymmetric scheme, so that who verifies holds no secret.

The private key is derived from a generated password, which is what Secrets Manager can make by itself. The secret may
hold several with commas between them, the newest first: then each signs, and each has its public key, so that receivers
change over in their own time (`new,old`, and later `new`).

PyNaCl is imported where it is needed only: `api` has the public keys to tell, and its cold start is not to pay for it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from urlshot.errors import Broken
from urlshot.kept import Kept

if TYPE_CHECKING:
    from nacl.signing import SigningKey

_LABEL = b"urlshot webhook ed25519 v1\n"


class WebhookKeys:
    """The keys of one deployment; `secret` gives the secret's text."""

    def __init__(self, secret: Callable[[], str]) -> None:
        self._keys = Kept(lambda: _keys(secret()))

    def sign(self, webhook_id: str, timestamp: int, body: bytes) -> str:
        """The header `webhook-signature`; `timestamp` is the attempt's, in seconds since 1970.

        Raises:
            Transient, Broken: the secret cannot be had.
        """
        text = f"{webhook_id}.{timestamp}.".encode() + body
        return " ".join(f"v1a,{b64encode(key.sign(text).signature).decode()}" for key in self._keys.get())

    def public(self) -> list[str]:
        """The public keys, `whpk_…`, the newest first.

        Raises:
            Transient, Broken: the secret cannot be had.
        """
        return [f"whpk_{b64encode(bytes(key.verify_key)).decode()}" for key in self._keys.get()]


def _keys(text: str) -> list[SigningKey]:
    from nacl.signing import SigningKey

    passwords = [part.strip() for part in text.split(",") if part.strip()]
    if not passwords:
        raise Broken("the secret of the callbacks is empty")
    return [SigningKey(hashlib.sha256(_LABEL + password.encode()).digest()) for password in passwords]
