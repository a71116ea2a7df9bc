"""Canonical JSON has exactly one text for each value. Hashes, digests and signatures are computed over this text.

Keys are sorted, there is no whitespace, and everything outside ASCII is escaped, so that NUL and lone surrogates are
only escapes. Do not change this form: a change of one byte breaks all stored fingerprints and the audit trail's hash
chain.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable


def canonical_encoder(default: Callable[[object], object] | None = None) -> json.JSONEncoder:
    """Return an encoder for canonical JSON. Create it once: ``json.dumps`` creates an encoder for each value.

    Args:
        default: converts a value of a type that JSON lacks. The encoder also calls it for each nested value.
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
    """Return a finite number unchanged, else the text ``NaN``, ``Infinity`` or ``-Infinity``: JSON lacks these."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
