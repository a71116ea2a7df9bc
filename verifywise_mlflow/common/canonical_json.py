"""Canonical JSON: one value, one text. It is what hashes, digests and signatures are computed over.

Keys are sorted, there is no whitespace, and everything outside ASCII is escaped, so that NUL and lone surrogates are
only escapes. Changing a byte of it would break every stored fingerprint and the hash chain of the audit trail.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable


def canonical_encoder(default: Callable[[object], object] | None = None) -> json.JSONEncoder:
    """Return an encoder for canonical JSON. Create it once: ``json.dumps`` would create one for each value.

    Args:
        default: converts a value that JSON does not know, one level deep.
    """
    return json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=default)


_ENCODER = canonical_encoder()


def canonical_json(value: object) -> str:
    """Return the canonical JSON of a value that consists of JSON's own types.

    Raises:
        TypeError: the value contains another type.
        ValueError: the value contains NaN or an infinity.
    """
    return _ENCODER.encode(value)


def sha256_of(canonical: str) -> str:
    """Return the SHA-256, in hex, of canonical JSON."""
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def finite_or_name(number: float) -> float | str:
    """Return a finite number unchanged, and ``NaN``, ``Infinity`` or ``-Infinity`` otherwise: JSON has none of them."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
