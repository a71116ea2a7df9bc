"""Describes each damaged row by its table, key and fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from verifywise_mlflow.persistence.queries.stored_states import StoredState, StoredVerdict
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.services.record_verification.matching import Mismatch
from verifywise_mlflow.services.record_verification.report import DamageKind, FieldChange, RecordDamage

NOT_LOGGED: Final = "no write of it is in the log"
GONE: Final = "it was logged, and no row has it any more"
_CHANGED: Final = "the row is not what was logged"


def damage_of(key: Key, mismatch: Mismatch, table: str, changes: Sequence[FieldChange]) -> RecordDamage:
    """Return the description of a state whose counterpart is missing or differs.

    Args:
        key: The version.
        mismatch: The state.
        table: The table that a logged state belongs to.
        changes: The fields that differ, if both the logged state and the row exist.
    """
    logged, stored = mismatch.logged, mismatch.stored
    if stored is None:
        assert logged is not None
        row = "" if logged.kind in ("record", "manifest") else f"event {logged.object_id}"
        return RecordDamage("removed", table, GONE, *key, row, logged.written_at, logged.sync_id)
    if logged is None:
        return RecordDamage(
            "added", stored.table, NOT_LOGGED, *key, stored.row, stored.written_at, stored.sync_id or ""
        )
    return RecordDamage(
        "changed", stored.table, _CHANGED, *key, stored.row, logged.written_at, logged.sync_id, tuple(changes)
    )


def damage_of_state(key: Key, state: StoredState, sentence: str, changes: Sequence[FieldChange]) -> RecordDamage:
    """Return the description of a state that has its counterpart, but ends at a wrong time or by a wrong sync."""
    return RecordDamage(
        "changed", state.table, sentence, *key, state.row, state.written_at, state.sync_id or "", tuple(changes)
    )


def damage_of_verdict(
    key: Key, verdict: StoredVerdict, kind: DamageKind, sentence: str, changes: Sequence[FieldChange]
) -> RecordDamage:
    """Return the description of a damaged verdict."""
    return RecordDamage(
        kind,
        verdict.table,
        sentence,
        *key,
        verdict.rule_id,
        verdict.written_at,
        verdict.sync_id,
        tuple(changes),
    )
