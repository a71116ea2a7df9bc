"""Values in JSON's types, for everything that writes JSON: commands, packs, and cells of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from verifywise_mlflow.common.canonical_json import finite_or_name


def json_ready(value: object) -> object:
    """Return a value in JSON's types: times in ISO 8601, NaN and the infinities as strings."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return finite_or_name(value)
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_ready(item) for item in value]
    return value
