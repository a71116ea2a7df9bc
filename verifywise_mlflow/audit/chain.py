"""The chain: each entry of a tenant's trail is written as canonical JSON that holds the hash of the one before it.

Canonical: keys sorted, no blanks, ASCII alone. The text is kept as it was hashed, so verifying it needs no rule of ours
for numbers or escapes: ``SHA-256(text)`` is the entry's hash, and the next entry holds it as ``previous_hash``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

BEFORE_THE_FIRST = ""
"""What the first entry of a tenant holds for the hash of the one before it."""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place."""

    sequence: int
    """From 1, without a gap."""
    text: str
    """Canonical JSON, ASCII."""
    hash: str
    """SHA-256 of the text, in hex."""


def linked(told: Mapping[str, object], previous: Link | None) -> Link:
    """Return what an entry tells as the link after ``previous``. The values are of JSON's types."""
    sequence = previous.sequence + 1 if previous else 1
    whole = {**told, "sequence": sequence, "previous_hash": previous.hash if previous else BEFORE_THE_FIRST}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Link(sequence, text, entry_hash(text))


def entry_hash(text: str) -> str:
    """Return the SHA-256, in hex, of an entry's text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
