"""JSON in the files of a pack: ASCII, with times in ISO 8601, and with words for numbers that are not finite."""

from __future__ import annotations

import json
from collections.abc import Iterable

from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.common.json_ready import json_ready


def pretty(value: object) -> bytes:
    """Return a JSON file for people and programs. Members keep their order."""
    return (json.dumps(json_ready(value), indent=1) + "\n").encode("ascii")


def lines(values: Iterable[object]) -> bytes:
    """Return JSON Lines: one value on each line."""
    return "".join(json.dumps(json_ready(value)) + "\n" for value in values).encode("ascii")


def canonical(value: object) -> str:
    """Return the text from which the hash of the value is computed."""
    return canonical_json(json_ready(value))
