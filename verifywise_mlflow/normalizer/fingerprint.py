"""One hash for all that was read of an object, to see whether it changed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache


def fingerprint(value: object) -> str:
    """Return the SHA-256, in hex, of a value's canonical JSON.

    Canonical: keys sorted, no blanks, ASCII alone (so that NUL and lone surrogates are only escapes), NaN and the
    infinities as the strings ``NaN``, ``Infinity`` and ``-Infinity``, times in UTC with milliseconds. A time without
    a zone counts as UTC. Takes dataclasses, mappings, sequences, sets and JSON's own types.

    Raises:
        TypeError: the value holds something else.
    """
    try:
        canonical = _ENCODER.encode(value)
    except ValueError:
        # The encoder meets a number that is not finite, which is rare: only then every number is looked at in Python.
        canonical = _ENCODER.encode(_finite(value))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _plain(value: object) -> object:
    """Return one of our values as JSON's types, one level deep: what the encoder calls for what it does not know."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(timespec="milliseconds")
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _finite(value: object) -> object:
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return _finite(_plain(value))


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain)
