"""Reads checkpoints from the files that witnesses store.

Such a file contains lines of JSON, the body of a webhook, an object of an object store, receipts, or Dagster's events.

A text is either JSON Lines with a checkpoint per line, or one JSON document. In a document that is not itself a
checkpoint, such as a response of Dagster's GraphQL interface, checkpoints are found at any depth.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Final

from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint

_JSON_IN_A_STRING: Final = "jsonString"
"""The member in which Dagster's GraphQL interface has metadata of the kind JSON. No other string is parsed: a text of a
tenant must not pass for a checkpoint."""


def checkpoints_in(text: str) -> list[Checkpoint]:
    """Return the checkpoints of a file; an empty list if it has none.

    Raises:
        InvalidCheckpointError: A line is not a checkpoint, or a checkpoint is not a statement about a chain.
    """
    return [stamped.checkpoint for stamped in stamped_checkpoints_in(text)]


def stamped_checkpoints_in(text: str) -> list[StampedCheckpoint]:
    """Return the checkpoints of a file with their time-stamp tokens.

    Raises:
        InvalidCheckpointError: A line is not a checkpoint, a checkpoint is not a statement about a chain, or a token is
            not base64.
    """
    text = text.removeprefix("\ufeff")  # the byte order mark, which editors on Windows add
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        stamped = [_parse_line(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    else:
        stamped = [_parse(fields) for fields in _checkpoint_objects(document)]
    for item in stamped:
        parse_claim(item.checkpoint)
    return stamped


def _parse_line(number: int, line: str) -> StampedCheckpoint:
    try:
        document: object = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidCheckpointError(f"line {number} is not JSON") from None
    if not isinstance(document, dict) or not _is_checkpoint(document):
        raise InvalidCheckpointError(f"line {number} has no checkpoint with a signature")
    return _parse(document)


def _checkpoint_objects(document: object) -> Iterator[Mapping[str, object]]:
    """Yield the objects of a document that are checkpoints, in their order."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            if _is_checkpoint(value):
                yield value
                continue
            waiting += reversed([_unwrap(name, member) for name, member in value.items()])


def _unwrap(name: str, member: object) -> object:
    if name != _JSON_IN_A_STRING or not isinstance(member, str):
        return member
    try:
        return json.loads(member)
    except (ValueError, RecursionError):
        return None


def _is_checkpoint(fields: Mapping[str, object]) -> bool:
    return isinstance(fields.get("checkpoint"), str) and isinstance(fields.get("signature"), str)


def _parse(fields: Mapping[str, object]) -> StampedCheckpoint:
    checkpoint = Checkpoint(str(fields["checkpoint"]), str(fields["signature"]))
    encoded = fields.get("timestamp_token")
    try:
        token = None if encoded is None else b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCheckpointError("its timestamp_token is not base64") from None
    return StampedCheckpoint(checkpoint, token)
