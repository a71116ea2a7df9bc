"""Verifies the signature of a delivery, and computes how long ago it was signed. No I/O.

MLflow signs like Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over ``delivery_id.timestamp.body``.
But MLflow has its own header names, and the text of the secret is the key.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_CLOCK_DIFFERENCE_S: Final = 300
"""The largest accepted difference, in seconds. A retry has the time of the first attempt, and can arrive minutes
later."""

_DELIVERY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class DeliveryHeaders:
    """The headers that MLflow sends with the body."""

    delivery_id: str
    """The ID, which is the same in each attempt to deliver an event."""
    timestamp: str
    """The time of the signature, in Unix seconds."""
    signature: str
    """Empty if there is no signature, as from a webhook that was registered without a secret."""


def delivery_headers(headers: Mapping[str, str]) -> DeliveryHeaders | None:
    """Return the headers of a delivery; None if the ID or the time is missing or malformed."""
    delivery_id = headers.get("x-mlflow-delivery-id", "")
    timestamp = headers.get("x-mlflow-timestamp", "")
    if not _DELIVERY_ID.fullmatch(delivery_id) or not _TIMESTAMP.fullmatch(timestamp):
        return None
    return DeliveryHeaders(delivery_id, timestamp, headers.get("x-mlflow-signature", ""))


def is_genuine(headers: DeliveryHeaders, body: bytes, secrets: Iterable[bytes]) -> bool:
    """Return whether one of the secrets signed the delivery. Signatures are compared in constant time."""
    signed = f"{headers.delivery_id}.{headers.timestamp}.".encode() + body
    signature = headers.signature.encode()
    matches = [hmac.compare_digest(signature, _signature(secret, signed)) for secret in secrets]
    return any(matches)


def clock_difference(headers: DeliveryHeaders, now: float) -> float:
    """Return how many seconds ago, by our clock, the delivery was signed; negative for a time in the future."""
    return now - int(headers.timestamp)


def _signature(secret: bytes, signed: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256"))
