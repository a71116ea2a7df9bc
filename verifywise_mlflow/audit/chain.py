"""The hash chain: each entry of a tenant's audit trail is canonical JSON that contains the previous entry's hash.

Canonical JSON has sorted keys, no white space between its parts, and ASCII only. The text is stored as it was hashed,
so verification needs no rules for numbers or escapes: ``SHA-256(text)`` is the entry's hash, and the next entry has it
as ``previous_hash``.

Three verifiers repeat this code deliberately instead of importing it, so that an auditor need not trust this package:
``tools/verify_audit_export.py``, ``tools/verify_proof.py`` and ``documents/pack/verify.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from verifywise_mlflow.common.canonical_json import canonical_json

GENESIS_HASH = ""
"""The ``previous_hash`` of a tenant's first entry."""


MAX_ENTRY_BYTES = 64 * 1024
"""A longer entry is refused: an append-only trail stores every byte permanently, and a server's response can be
long."""


class OversizedEntryError(ValueError):
    """An entry is longer than ``MAX_ENTRY_BYTES``."""


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One entry of a chain. In a chain from the database, only a verification shows that the fields are right."""

    sequence: int
    """The number of the entry, from 1, without gaps."""
    text: str
    """Canonical JSON, ASCII."""
    hash: str
    """SHA-256 of the text, in hex."""


def make_link(fields: Mapping[str, object], previous: ChainLink | None) -> ChainLink:
    """Return the link after ``previous`` with these fields, or the first link if ``previous`` is None.

    Raises:
        OversizedEntryError: the entry is longer than ``MAX_ENTRY_BYTES``.
        TypeError: a value is of a type that JSON lacks.
        ValueError: a number is NaN or infinite.
    """
    sequence = previous.sequence + 1 if previous else 1
    entry = {**fields, "sequence": sequence, "previous_hash": previous.hash if previous else GENESIS_HASH}
    text = canonical_json(entry)
    if len(text) > MAX_ENTRY_BYTES:
        raise OversizedEntryError(
            f"an audit entry of kind {str(fields.get('kind'))[:40]!r} has {len(text):,} bytes; the trail accepts "
            f"{MAX_ENTRY_BYTES:,}. Shorten its texts before it is written, as AuditEntry does"
        )
    return ChainLink(sequence, text, entry_hash(text))


def entry_hash(text: str) -> str:
    """Return the SHA-256, in hex, of an entry's text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
