import base64
import binascii
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verified(headers, body: bytes, keys: list[str]) -> bool:
    """Says whether the endpoint sent a callback. `keys` are from /webhook-keys; header names are in lower case."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not webhook_id or not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    if abs(time.time() - int(timestamp)) > 300:
        return False  # an old callback that somebody else sent again
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for entry in headers.get("webhook-signature", "").split():
        version, _, signature = entry.partition(",")
        if version != "v1a":  # v1 is for receivers that have the secret
            continue
        for key in keys:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
            try:
                public.verify(base64.b64decode(signature, validate=True), signed)
            except (InvalidSignature, binascii.Error, ValueError):
                continue
            return True
    return False
