"""Signs webhooks according to the specification Standard Webhooks, so that receivers can verify them with a library.

The signature covers the event's id, the time of the attempt and the body. So a receiver accepts neither an altered
event nor an old event. Several secrets may sign: while a secret is rotated, a receiver accepts a signature by any of
them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # the prefix of secrets, not a secret
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64


class InvalidSecretError(ValueError):
    """A signing secret does not have the form that the specification requires. The message does not quote it."""


def signature_headers(event_id: str, body: bytes, timestamp: int, secrets: Iterable[str]) -> Mapping[str, str]:
    """Return the headers that authenticate a request.

    Args:
        event_id: The event's id, which is the same in each attempt.
        body: The request's body.
        timestamp: The time of the attempt, in seconds since 1970.
        secrets: ``whsec_`` and 24 to 64 bytes in base64, the current one first.

    Raises:
        InvalidSecretError: A secret does not have this form.
    """
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    signatures = (base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise InvalidSecretError(f"it does not begin with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidSecretError(f"what follows {SECRET_PREFIX} is not base64") from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise InvalidSecretError(f"it has {len(key)} bytes, and must have {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}")
    return key
