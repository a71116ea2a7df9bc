"""Exports a trail as lines. Each entry is the text that was hashed; a checkpoint follows the entry that it signs.

``tools/verify_audit_export.py`` verifies an export without a database and without this package. Among the checkpoints
of one entry, the checkpoints that vouch for a key come first: a reader needs that key for the other checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.verification import AnchoredCheckpoint


def export_lines(links: Iterable[ChainLink], checkpoints: Iterable[AnchoredCheckpoint]) -> Iterator[str]:
    """Yield the lines of an export. Both inputs are ordered by sequence.

    A checkpoint of a missing entry follows the next entry that exists, or comes last.
    """
    remaining = _in_order_of_keys(checkpoints)
    pending = next(remaining, None)
    for link in links:
        yield link.text
        while pending and pending.sequence <= link.sequence:
            yield pending.checkpoint.to_json_line()
            pending = next(remaining, None)
    while pending:
        yield pending.checkpoint.to_json_line()
        pending = next(remaining, None)


def _in_order_of_keys(checkpoints: Iterable[AnchoredCheckpoint]) -> Iterator[AnchoredCheckpoint]:
    for _, of_entry in groupby(checkpoints, key=lambda anchored: anchored.sequence):
        yield from sorted(of_entry, key=lambda anchored: not anchored.checkpoint.names_next_key)
