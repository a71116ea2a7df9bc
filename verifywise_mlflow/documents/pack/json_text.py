"""JSON in the files of a pack: ASCII, times in ISO 8601, numbers that are not finite as words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from verifywise_mlflow.common.canonical_json import canonical_json, finite_or_name


def plain(value: object) -> object:
    """Return a value in JSON's types."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return finite_or_name(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def pretty(value: object) -> bytes:
    """Return a JSON file for people and programs. Members keep their order."""
    return (json.dumps(plain(value), indent=1) + "\n").encode("ascii")


def lines(values: Iterable[object]) -> bytes:
    """Return JSON Lines: one value on each line."""
    return "".join(json.dumps(plain(value)) + "\n" for value in values).encode("ascii")


def canonical(value: object) -> str:
    """Return the text that a hash of the value is computed over."""
    return canonical_json(plain(value))
