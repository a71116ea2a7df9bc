"""The values that a rule saw, as they are kept beside its verdict: bounded in size, hashed, checkable offline.

``input_hash`` is the SHA-256 of canonical JSON (keys sorted, no blanks, ASCII) of::

    {"day": "2026-03-01", "rule": "<digest>", "thresholds": {…}, "values": {…}}

``day`` is null where the rule does not look at ``today``. ``values`` are the ones that are kept, so that whoever has
the row and the rule can compute the hash anew, without us.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from json.encoder import encode_basestring_ascii
from typing import Final

from verifywise_mlflow.compliance.rules.cel_variables import Shown
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.normalizer.record import Json

LONGEST_KEPT: Final = 2_000
"""Bytes of a value's canonical JSON. Of a longer one its digest and size are kept; the record's history has it all."""
DIGEST, SIZE = "$sha256", "$bytes"


def rule_digest(rule: Rule) -> str:
    """Return the SHA-256 of what of a rule decides its verdict. What it says to people may change without it."""
    said = {name: getattr(rule, name) for name in ("applies", "evidenced", "id", "requires", "version")}
    return hashlib.sha256(_ENCODER.encode(said).encode("ascii")).hexdigest()


def kept_json(value: Shown) -> str:
    """Return a value's canonical JSON if it is short enough to be kept, and of its digest otherwise."""
    if isinstance(value, str):
        written = encode_basestring_ascii(value)
    elif value is None or isinstance(value, bool | int | datetime):
        return _short_json(value)  # most are such, and the encoder takes ten times as long
    else:
        written = _canonical(value)
        # A customer's own map of these names must not pass for one of ours.
        if f'"{DIGEST}"' in written:
            return _digest_json(written)
    return written if len(written) <= LONGEST_KEPT else _digest_json(written)


def _short_json(value: bool | int | datetime | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{_time(value)}"' if isinstance(value, datetime) else int.__repr__(value)


def _canonical(value: Shown) -> str:
    try:
        written = _ENCODER.encode(value)
    except ValueError:  # a number that is not finite
        return _ENCODER.encode(_finite(value))
    # Postgres knows no -0.0. In a text it may stand, and changes nothing there.
    return _ENCODER.encode(_finite(value)) if "-0.0" in written else written


def input_body(digest: str, thresholds_json: str, values_json: str) -> str:
    """Return all but the beginning of what is hashed; the day comes first, and is the one thing that just passes."""
    return f',"rule":"{digest}","thresholds":{thresholds_json},"values":{values_json}}}'


def input_hash(body: str, day: date | None) -> str:
    """Return the hash of what a verdict rests on."""
    written = f'"{day.isoformat()}"' if day else "null"
    return hashlib.sha256(f'{{"day":{written}{body}'.encode("ascii")).hexdigest()


def input_hash_of(digest: str, values: Mapping[str, Json], thresholds: Mapping[str, float], day: date | None) -> str:
    """Return the hash of what is kept beside a verdict; the words for numbers that are not finite stay words."""
    return input_hash(input_body(digest, _ENCODER.encode(thresholds), _ENCODER.encode(values)), day)


def _digest_json(written: str) -> str:
    encoded = written.encode("ascii")
    return _ENCODER.encode({SIZE: len(encoded), DIGEST: hashlib.sha256(encoded).hexdigest()})


def _time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} has no canonical JSON")
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC).isoformat()
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:  # the first and the last hours that Python knows, which UTC puts out of reach
        return value.isoformat()


def _finite(value: Shown) -> Shown:
    if isinstance(value, float):
        if math.isfinite(value):
            return value + 0.0  # Postgres knows no -0.0
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    return [_finite(member) for member in value] if isinstance(value, list) else value


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_time)
