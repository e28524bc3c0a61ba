import base64
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verified(headers, body: bytes, keys: list[str]) -> bool:
    """Whether a callback is the endpoint's own: `keys` are those of its /webhook-keys, `headers` in lower case."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False  # an old one, sent again by somebody else
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split():
        for key in keys:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
            try:
                public.verify(base64.b64decode(signature.removeprefix("v1a,")), signed)
            except InvalidSignature:
                continue
            return True
    return False
