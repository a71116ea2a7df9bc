"""Fingerprints: hashes of everything that was read of an object, for change detection."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache

from verifywise_mlflow.common.canonical_json import canonical_encoder, finite_or_name, sha256_of


def fingerprint(value: object) -> str:
    """Return the SHA-256, in hex, of a value's canonical JSON; see ``fingerprint_and_size``."""
    return fingerprint_and_size(value)[0]


def fingerprint_and_size(value: object) -> tuple[str, int]:
    """Return the SHA-256, in hex, of a value's canonical JSON, and the length of that JSON in bytes.

    NaN and the infinities become the strings ``NaN``, ``Infinity`` and ``-Infinity``; times are written in UTC with
    milliseconds, and a time without a zone counts as UTC. Accepts dataclasses, mappings, sequences, sets and JSON's own
    types.

    Raises:
        TypeError: the value contains another type.
    """
    try:
        canonical = _ENCODER.encode(value)
    except ValueError:
        # A number is not finite, which is rare. Only in this case, Python code checks every number.
        canonical = _ENCODER.encode(_with_finite_numbers(value))
    return sha256_of(canonical), len(canonical)


def _to_json(value: object) -> object:
    """Return a value in JSON's types, one level deep. The encoder calls this function for types that JSON lacks."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(timespec="milliseconds")
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


@cache
def _field_names(dataclass: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(dataclass))


def _with_finite_numbers(value: object) -> object:
    if isinstance(value, float):
        return finite_or_name(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: _with_finite_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_finite_numbers(item) for item in value]
    return _with_finite_numbers(_to_json(value))


_ENCODER = canonical_encoder(_to_json)
