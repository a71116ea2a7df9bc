"""All that a database keeps of its tenants, row by row, without when it was written and by which sync.

Two databases that were filled from one server, one by a single sync and one by many that were killed, have to hold
the same. Every table is compared, those that are added tomorrow, too: a column is left out only by its name here.
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
from verifywise_mlflow.persistence.tables import audit_checkpoints, audit_trail, metadata, stage_refreshes

Row = Mapping[str, object]

SYNC_COLUMNS = {"sync_id", "ended_by_sync_id"}
TIME_COLUMNS = {
    *("changed_at", "evaluated_at", "valid_to", "seen_at", "read_at", "former_read_at", "hashed_at", "valid_from"),
    *("first_seen_at", "deactivated_at", "refreshed_at", "reconciled_at", "updated_at", "deleted_at", "open_since"),
}
"""Our clock's times: of these only whether there is one is compared. MLflow's own times are compared as they are."""
SEQUENCE_COLUMNS = {"event_id", "state_id", "config_version_id"}
"""From a sequence, which a transaction that is undone moves on, too. Revisions are drawn as well."""
_SEEN = re.compile(r"\(seen [^)]*\)")
"""As findings tell it."""
SYNC_ENTRY_KINDS = {"sync started", "sync ended"}
"""Entries of the trail that tell of a sync as such: one that was killed has begun and not ended."""


def snapshot(url: str, *, exactly: bool = False) -> dict[str, list[str]]:
    """Return the rows of every table, in an order that their content gives, and the trail's entries of objects.

    Exactly: with all columns, but for the stages' times; a sync that finds nothing new writes nothing else.
    """
    kept = {}
    engine = connect(url)
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table not in (audit_trail, audit_checkpoints):
                    is_exact = exactly and table is not stage_refreshes
                    kept[table.name] = sorted(_told(row, exactly=is_exact) for row in _rows(connection, table))
            kept["audit_trail"] = sorted(
                json.dumps({name: entry[name] for name in ("kind", "outcome", "object_kind", "object_name", "reason")})
                for entry in entries(connection)
                if entry["kind"] not in SYNC_ENTRY_KINDS
            )
    finally:
        engine.dispose()
    return kept


def differences(url: str, other: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return, by table, the rows that only the one database has and those that only the other has."""
    kept, kept_by_other = snapshot(url), snapshot(other)
    return {
        table: (_without(kept[table], kept_by_other[table]), _without(kept_by_other[table], kept[table]))
        for table in kept
        if kept[table] != kept_by_other[table]
    }


def _without(rows: Sequence[str], others: Sequence[str]) -> list[str]:
    return list((Counter(rows) - Counter(others)).elements())


def verified_trail(url: str) -> list[dict[str, object]]:
    """Return the trail's entries; they are a chain without a break."""
    engine = connect(url)
    try:
        with engine.connect() as connection:
            found = entries(connection)
            rows = _rows(connection, audit_trail, "tenant_id, sequence")
    finally:
        engine.dispose()
    ends: dict[object, tuple[int, str]] = {}
    for row, entry in zip(rows, found, strict=True):
        sequence, previous = ends.get(row["tenant_id"], (0, ""))
        assert (row["sequence"], entry["sequence"]) == (sequence + 1, sequence + 1)
        assert entry["previous_hash"] == previous
        assert row["entry_hash"] == hashlib.sha256(str(row["entry"]).encode()).hexdigest()
        ends[row["tenant_id"]] = (sequence + 1, str(row["entry_hash"]))
    return found


def outcomes(url: str) -> list[object]:
    """Return how the syncs ended that came to their end, in their order; the trail is unbroken."""
    return [entry["outcome"] for entry in verified_trail(url) if entry["kind"] == "sync ended"]


def entries(connection: Connection) -> list[dict[str, object]]:
    """Return what the trail's entries tell, in their order."""
    return [json.loads(str(row["entry"])) for row in _rows(connection, audit_trail, "tenant_id, sequence")]


def _rows(connection: Connection, table: Table, order: str | None = None) -> Sequence[Row]:
    query = select(table)
    return [dict(row) for row in connection.execute(query.order_by(text(order)) if order else query).mappings()]


def _told(row: Row, *, exactly: bool) -> str:
    if exactly:
        return json.dumps(dict(row), sort_keys=True, default=_plain)
    left_out = SYNC_COLUMNS | SEQUENCE_COLUMNS
    if "origins" in row:
        # Over all of a record or of a verdict's values that is compared here, and over our clock's times in it.
        left_out |= {"fingerprint", "input_hash"}
    told = {
        name: _without_times(name, value)
        for name, value in row.items()
        if name not in left_out and name != "revision" and not name.endswith("_revision")
    }
    return json.dumps(told, sort_keys=True, default=_plain)


def _without_times(name: str, value: object) -> object:
    if name in TIME_COLUMNS:
        return value is not None
    if isinstance(value, dict):
        return {inner: _without_times(inner, of) for inner, of in value.items()}
    if isinstance(value, list):
        return [_without_times("", of) for of in value]
    return _SEEN.sub("(seen)", value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
