"""The values that a rule read, in the form stored with the verdict: limited in size, hashed, and verifiable offline.

``input_hash`` is the SHA-256 of canonical JSON (keys sorted, no spaces, ASCII) of::

    {"day": "2026-03-01", "rule": "<digest>", "thresholds": {…}, "values": {…}}

``day`` is null if the rule does not read ``today``. ``values`` are the stored values, so anybody who has the row and
the rule can recompute the hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from json.encoder import encode_basestring_ascii
from typing import Final

from verifywise_mlflow.common.canonical_json import canonical_encoder, finite_or_name
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.reason_text import REASON_REVISION
from verifywise_mlflow.compliance.rules.cel_variables import CelValue
from verifywise_mlflow.compliance.rules.rule import Rule

MAX_VALUE_BYTES: Final = 2_000
"""The maximum size of a value, in bytes of canonical JSON. For a longer value, only the digest and the size are stored;
the record's history has the whole value."""
DIGEST, SIZE = "$sha256", "$bytes"


def rule_digest(rule: Rule) -> str:
    """Return the SHA-256 of everything in a rule that determines the verdict; the texts are not hashed."""
    decided_by = {"applies", "evidenced", "id", "requires", "version"}
    conditions = {"__all__": {"holds", "otherwise"}}
    return _digest(rule.model_dump(include={**dict.fromkeys(decided_by, True), "conditions": conditions}))


def wording_digest(rule: Rule) -> str:
    """Return the SHA-256 of everything, except values, that determines the text of a rule's reasons."""
    own = rule.model_dump(include={"conditions", "reason_values", "reasons", "remedy", "title"})
    return _digest({**own, "revision": REASON_REVISION})


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(_ENCODER.encode(content).encode("ascii")).hexdigest()


def value_json(value: CelValue) -> str:
    """Return a value's canonical JSON. If it is too long to be stored, return the JSON of its digest and size."""
    kind = type(value)
    if kind is str:
        text = encode_basestring_ascii(value)  # type: ignore[arg-type]  # mypy knows no types that are compared
    elif not value or kind is bool or kind is int or isinstance(value, datetime):
        return _short_json(value)  # the common case, and the encoder takes ten times as long
    else:
        text = _canonical(value)
        # A customer's own map with these keys must not be mistaken for an encoded value.
        if f'"{DIGEST}"' in text:
            return _digest_json(text)
    return text if len(text) <= MAX_VALUE_BYTES else _digest_json(text)


def _short_json(value: CelValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f'"{_time(value)}"'
    if isinstance(value, int):
        return int.__repr__(value)
    return '""' if isinstance(value, str) else "[]" if isinstance(value, list) else _canonical(value)


def _canonical(value: CelValue) -> str:
    try:
        text = _ENCODER.encode(value)
    except ValueError:  # a number that is not finite
        return _ENCODER.encode(_finite(value))
    # Postgres has no -0.0. If "-0.0" occurs inside a string, re-encoding changes nothing.
    return _ENCODER.encode(_finite(value)) if "-0.0" in text else text


def hash_input_body(digest: str, thresholds_json: str, values_json: str) -> str:
    """Return the hash input without the day at its beginning. The day is the only part that changes by itself."""
    return f',"rule":"{digest}","thresholds":{thresholds_json},"values":{values_json}}}'


def hash_body(body: str, day: date | None) -> str:
    """Return the hash of everything that determines a verdict."""
    day_json = f'"{day.isoformat()}"' if day else "null"
    return hashlib.sha256(f'{{"day":{day_json}{body}'.encode("ascii")).hexdigest()


def input_hash(digest: str, values: Mapping[str, Json], thresholds: Mapping[str, float], day: date | None) -> str:
    """Return the hash of the data stored with a verdict, in which numbers that are not finite are strings."""
    return hash_body(hash_input_body(digest, _ENCODER.encode(thresholds), _ENCODER.encode(values)), day)


def _digest_json(text: str) -> str:
    encoded = text.encode("ascii")
    return _ENCODER.encode({SIZE: len(encoded), DIGEST: hashlib.sha256(encoded).hexdigest()})


def _time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} has no canonical JSON")
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC).isoformat()
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:  # the first and last hours of Python's calendar have no UTC equivalent
        return value.isoformat()


def _finite(value: CelValue) -> CelValue:
    if isinstance(value, float):
        return finite_or_name(value + 0.0)  # Postgres has no -0.0
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    return [_finite(member) for member in value] if isinstance(value, list) else value


_ENCODER = canonical_encoder(_time)
