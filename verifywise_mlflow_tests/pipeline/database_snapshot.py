"""All rows of a database, without the columns that say when and by which sync they were written.

If one database was filled by a single sync, and another one by many killed syncs from the same server, both databases
must be equal. Every table is compared, including future tables: a column is left out only if it is named here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, select, text

from verifywise_mlflow.persistence.database import connect
from verifywise_mlflow.persistence.tables import (
    audit_checkpoints,
    audit_trail,
    compliance_count_buckets,
    compliance_counts,
    metadata,
    stage_refreshes,
    stage_watermarks,
    state_commitments,
    state_log,
    state_models,
)

Row = Mapping[str, object]

SYNC_COLUMNS = {"sync_id", "sync_ids", "ended_by_sync_id"}
TIME_COLUMNS = {
    *("changed_at", "evaluated_at", "valid_to", "seen_at", "read_at", "former_read_at", "hashed_at", "valid_from"),
    *("first_seen_at", "deactivated_at", "refreshed_at", "reconciled_at", "updated_at", "deleted_at", "open_since"),
}
"""Times of our clock: only whether they are null is compared. MLflow's own times are compared unchanged."""
SEQUENCE_COLUMNS = {"event_id", "state_id", "config_version_id"}
"""Values of a sequence, which a rolled-back transaction advances, too. Revisions come from a sequence as well."""
CACHES = (compliance_counts, compliance_count_buckets, stage_watermarks, state_commitments, state_models)
"""Tables whose content depends on how many syncs there were."""
_LOGGED_COLUMNS = ("tenant_id", "kind", "model_name", "version_number")
"""The compared columns of the log of states: its hashes cover our times and the order of the writes."""
_SEEN_TIME = re.compile(r"\(seen [^)]*\)")
"""As in the text of findings."""
SYNC_ENTRY_KINDS = {"sync started", "sync ended"}
"""Audit entries about a sync itself: a killed sync has a start and no end."""


def snapshot(url: str, *, exactly: bool = False) -> dict[str, list[str]]:
    """Return the rows of every table, sorted by content, and the audit entries about objects.

    With ``exactly``, include all columns except the stages' times: a sync that finds nothing new writes nothing else.
    """
    tables = {}
    engine = connect(url)
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table not in (audit_trail, audit_checkpoints) and (exactly or table not in CACHES):
                    is_exact = exactly and table is not stage_refreshes
                    tables[table.name] = sorted(_serialize(row, exactly=is_exact) for row in _rows(connection, table))
            tables["audit_trail"] = sorted(
                json.dumps({name: entry[name] for name in ("kind", "outcome", "object_kind", "object_name", "reason")})
                for entry in entries(connection)
                if entry["kind"] not in SYNC_ENTRY_KINDS
            )
    finally:
        engine.dispose()
    return tables


def differences(url: str, other: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return, by table and for each of the two databases, the rows that only this database has."""
    rows, other_rows = snapshot(url), snapshot(other)
    return {
        table: (_without(rows[table], other_rows[table]), _without(other_rows[table], rows[table]))
        for table in rows
        if rows[table] != other_rows[table]
    }


def _without(rows: Sequence[str], excluded: Sequence[str]) -> list[str]:
    return list((Counter(rows) - Counter(excluded)).elements())


def verified_trail(url: str) -> list[dict[str, object]]:
    """Return the audit entries, and check that they form an unbroken hash chain."""
    engine = connect(url)
    try:
        with engine.connect() as connection:
            trail = entries(connection)
            rows = _rows(connection, audit_trail, "tenant_id, sequence")
    finally:
        engine.dispose()
    ends: dict[object, tuple[int, str]] = {}
    for row, entry in zip(rows, trail, strict=True):
        sequence, previous = ends.get(row["tenant_id"], (0, ""))
        assert (row["sequence"], entry["sequence"]) == (sequence + 1, sequence + 1)
        assert entry["previous_hash"] == previous
        assert row["entry_hash"] == hashlib.sha256(str(row["entry"]).encode()).hexdigest()
        ends[row["tenant_id"]] = (sequence + 1, str(row["entry_hash"]))
    return trail


def outcomes(url: str) -> list[object]:
    """Return the outcomes of the syncs that ended, in order, and check the hash chain."""
    return [entry["outcome"] for entry in verified_trail(url) if entry["kind"] == "sync ended"]


def entries(connection: Connection) -> list[dict[str, object]]:
    """Return the audit entries, in order."""
    return [json.loads(str(row["entry"])) for row in _rows(connection, audit_trail, "tenant_id, sequence")]


def _rows(connection: Connection, table: Table, order: str | None = None) -> Sequence[Row]:
    query = select(table)
    return [dict(row) for row in connection.execute(query.order_by(text(order)) if order else query).mappings()]


def _serialize(row: Row, *, exactly: bool) -> str:
    if not exactly and set(state_log.c.keys()) == row.keys():
        row = {name: row[name] for name in _LOGGED_COLUMNS}
    if exactly:
        return json.dumps(dict(row), sort_keys=True, default=_plain)
    excluded_columns = SYNC_COLUMNS | SEQUENCE_COLUMNS
    if "origins" in row:
        # Hashes over values that are compared here anyway, and over times of our clock.
        excluded_columns |= {"fingerprint", "fingerprints", "input_hash", "input_hashes"}
    values = {
        name: _without_times(name, value)
        for name, value in row.items()
        if name not in excluded_columns and name != "revision" and not name.endswith("_revision")
    }
    return json.dumps(values, sort_keys=True, default=_plain)


def _without_times(name: str, value: object) -> object:
    if name in TIME_COLUMNS:
        return [item is not None for item in value] if isinstance(value, list) else value is not None
    if isinstance(value, dict):
        return {inner: _without_times(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_without_times("", item) for item in value]
    return _SEEN_TIME.sub("(seen)", value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
